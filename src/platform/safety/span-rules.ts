/** The rules over characters of one policy in one direction: words, profanity, patterns, personal data. Made once, used by every call. */
import { RE2JS } from 're2js'
import { InferdError } from '#contract/errors'
import type { GuardAction, GuardrailPolicy, PiiType } from '#contract/guardrail'
import { findEmails, findIps, findMacs, findUrls } from './address-detectors.ts'
import { findCards, findIbans, findPhones, findSsns } from './number-detectors.ts'
import { PhraseMatcher } from './phrase-matcher.ts'
import { PROFANITY } from './profanity.ts'
import { findApiKeys, findAwsAccessKeys, findAwsSecretKeys, findNames, findPasswords } from './secret-detectors.ts'
import type { Stretch, TextSpan } from './text-span.ts'

/** The longest match of a user's pattern, UTF-16 units: what a stream holds back for it. A longer one counts up to there. */
const MAX_PATTERN_MATCH = 256
/** Characters before a stretch that its detectors may look at. */
export const LEFT_CONTEXT = 64

interface PiiDetector {
  readonly find: (text: string, from: number) => Stretch[]
  readonly maxLength: number
}

const PII_DETECTORS: Readonly<Record<PiiType, PiiDetector>> = {
  EMAIL: { find: findEmails, maxLength: 320 },
  PHONE: { find: findPhones, maxLength: 64 },
  CREDIT_DEBIT_CARD_NUMBER: { find: findCards, maxLength: 40 },
  INTERNATIONAL_BANK_ACCOUNT_NUMBER: { find: findIbans, maxLength: 72 },
  IP_ADDRESS: { find: findIps, maxLength: 56 },
  MAC_ADDRESS: { find: findMacs, maxLength: 18 },
  URL: { find: findUrls, maxLength: 2040 },
  US_SOCIAL_SECURITY_NUMBER: { find: findSsns, maxLength: 12 },
  AWS_ACCESS_KEY: { find: findAwsAccessKeys, maxLength: 21 },
  AWS_SECRET_KEY: { find: findAwsSecretKeys, maxLength: 41 },
  API_KEY: { find: findApiKeys, maxLength: 2040 },
  PASSWORD: { find: findPasswords, maxLength: 200 },
  NAME: { find: findNames, maxLength: 130 },
}

interface Pattern {
  readonly name: string
  readonly action: GuardAction
  readonly expression: RE2JS
}

export interface SpanRules {
  /** Walked along every text: phrases that are open keep a cut from being made. */
  readonly phrases: PhraseMatcher
  readonly profanity: PhraseMatcher
  /** No match of any rule is longer, UTF-16 units. */
  readonly maxLength: number
  /** Patterns may match anywhere and across anything: no place is known to be quiet. */
  readonly hasPatterns: boolean
  readonly hasPii: boolean
  /** Spans that begin at `from` or later, by start. `hasLoud` and `hasPhrase` false: there can be none of that kind. */
  find(text: string, from: number, seen: { readonly hasLoud: boolean; readonly hasPhrase: boolean }): TextSpan[]
}

/** null = nothing to look for. Throws invalid_parameter for a pattern that RE2 does not take. */
export function compileSpanRules(policy: GuardrailPolicy, direction: 'input' | 'output'): SpanRules | null {
  const words = policy.words
  const patterns = policy.regexes.map((rule) => ({ name: rule.name, action: rule[direction], expression: compilePattern(rule.name, rule.pattern) }))
  const profane = policy.profanity === null ? [] : PROFANITY
  const phrases = new PhraseMatcher(
    words.map(({ text }) => text),
    { isLeet: false },
  )
  const profanity = new PhraseMatcher(profane, { isLeet: true })
  if (words.length + patterns.length + profane.length + policy.pii.length === 0) return null
  const maxLength = Math.max(
    phrases.maxLength,
    profanity.maxLength,
    patterns.length > 0 ? MAX_PATTERN_MATCH : 0,
    ...policy.pii.map(({ type }) => PII_DETECTORS[type].maxLength),
  )
  return {
    phrases,
    profanity,
    maxLength,
    hasPatterns: patterns.length > 0,
    hasPii: policy.pii.length > 0,
    find: (text, from, { hasLoud, hasPhrase }) => {
      const spans: TextSpan[] = []
      if (hasPhrase) {
        for (const { phrase, start, end } of phrases.find(text, from)) {
          const rule = words[phrase]!
          spans.push({ policy: 'word', rule: rule.text, action: rule[direction], start, end, placeholder: '***' })
        }
        for (const { phrase, start, end } of profanity.find(text, from)) {
          spans.push({ policy: 'profanity', rule: PROFANITY[phrase]!, action: policy.profanity![direction], start, end, placeholder: '***' })
        }
      }
      for (const pattern of patterns) spans.push(...patternSpans(pattern, text, from))
      if (hasLoud) {
        for (const rule of policy.pii) {
          const { find, maxLength: most } = PII_DETECTORS[rule.type]
          for (const { start, end } of find(text, from)) {
            if (end - start <= most)
              spans.push({ policy: 'pii', rule: rule.type, action: rule[direction], start, end, placeholder: `{${rule.type}}` })
          }
        }
      }
      return spans.sort((a, b) => a.start - b.start)
    },
  }
}

export function compilePattern(name: string, pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'not a pattern'
    throw new InferdError('invalid_parameter', `the pattern of '${name}' is no RE2 pattern: ${why}`, { param: 'regexes', cause })
  }
}

function patternSpans({ name, action, expression }: Pattern, text: string, from: number): TextSpan[] {
  const spans: TextSpan[] = []
  const matcher = expression.matcher(text)
  let at = from
  while (at <= text.length && matcher.find(at)) {
    const start = matcher.start()
    const end = Math.min(matcher.end(), start + MAX_PATTERN_MATCH)
    if (end > start) spans.push({ policy: 'regex', rule: name, action, start, end, placeholder: `{${name}}` })
    at = Math.max(end, start + 1)
  }
  return spans
}
