/** What a guardrail may be: bounds on all its lists and texts, patterns that compile, filters that somebody can judge. */
import { InferdError } from '#contract/errors'
import type { GuardrailDefinition, GuardrailPolicy } from '#contract/guardrail'
import { foldText } from './fold-text.ts'
import { compilePattern } from './span-rules.ts'

const MAX_NAME = 50
const MAX_MESSAGE = 500
const MAX_WORDS = 10_000
const MAX_WORD = 100
const MAX_REGEXES = 32
const MAX_PATTERN = 500
/** Instructions of a compiled pattern: `(a{1000}){1000}` is short, and large. */
const MAX_PROGRAM = 4000
const MAX_TOPICS = 30
const MAX_TOPIC_TEXT = 1000
const MAX_EXAMPLES = 32

/** Throws invalid_parameter and unsupported_parameter; `param` names the part of the policy. */
export function checkDefinition({ name, blockedInputMessage, blockedOutputMessage, policy }: GuardrailDefinition): void {
  // Names are found where ids are: neither may look like an ARN.
  if (!/^[\w-]{1,50}$/.test(name)) throw invalid('name', `1 to ${MAX_NAME} letters, digits, - and _`)
  bounded('blockedInputMessage', blockedInputMessage, MAX_MESSAGE)
  bounded('blockedOutputMessage', blockedOutputMessage, MAX_MESSAGE)
  checkWords(policy)
  checkRegexes(policy)
  unique(
    'pii',
    policy.pii.map(({ type }) => type),
  )
  checkTopics(policy)
  checkFilters(policy)
  for (const threshold of [policy.grounding?.groundingThreshold, policy.grounding?.relevanceThreshold]) {
    if (threshold !== undefined && threshold !== null && !(threshold >= 0 && threshold <= 0.99))
      throw invalid('grounding', 'thresholds are from 0 to 0.99')
  }
}

function checkWords({ words }: GuardrailPolicy): void {
  if (words.length > MAX_WORDS) throw invalid('words', `at most ${MAX_WORDS}`)
  for (const { text } of words) {
    bounded('words', text, MAX_WORD)
    if (foldText(text) === '') throw invalid('words', 'a word needs a visible character')
  }
}

function checkRegexes({ regexes }: GuardrailPolicy): void {
  if (regexes.length > MAX_REGEXES) throw invalid('regexes', `at most ${MAX_REGEXES}`)
  unique(
    'regexes',
    regexes.map(({ name }) => name),
  )
  for (const { name, pattern } of regexes) {
    bounded('regexes', name, 100)
    bounded('regexes', pattern, MAX_PATTERN)
    const compiled = compilePattern(name, pattern)
    if (compiled.programSize() > MAX_PROGRAM) throw invalid('regexes', `the pattern of '${name}' is too large when its repetitions are written out`)
    if (compiled.matches('')) throw invalid('regexes', `the pattern of '${name}' matches the empty text`)
  }
}

function checkTopics({ topics }: GuardrailPolicy): void {
  if (topics.length > MAX_TOPICS) throw invalid('topics', `at most ${MAX_TOPICS}`)
  unique(
    'topics',
    topics.map(({ name }) => name),
  )
  for (const { name, definition, examples } of topics) {
    bounded('topics', name, 100)
    bounded('topics', definition, MAX_TOPIC_TEXT)
    if (examples.length > MAX_EXAMPLES) throw invalid('topics', `at most ${MAX_EXAMPLES} examples each`)
    for (const example of examples) bounded('topics', example, MAX_TOPIC_TEXT)
  }
}

function checkFilters({ contentFilters, classifierModel }: GuardrailPolicy): void {
  unique(
    'contentFilters',
    contentFilters.map(({ type }) => type),
  )
  for (const { type, inputStrength, outputStrength } of contentFilters) {
    if (type === 'PROMPT_ATTACK') {
      if (outputStrength !== 'NONE') throw invalid('contentFilters', 'PROMPT_ATTACK judges input only: its output strength is NONE')
    } else if (classifierModel === null && (inputStrength !== 'NONE' || outputStrength !== 'NONE')) {
      throw new InferdError('unsupported_parameter', `the filter ${type} needs a model that judges: this server has set none as classifier`, {
        param: 'contentFilters',
      })
    }
  }
}

function bounded(param: string, text: string, most: number): void {
  if (text.length === 0 || text.length > most) throw invalid(param, `a text has 1 to ${most} characters`)
}

function unique(param: string, keys: readonly string[]): void {
  const repeated = keys.find((key, index) => keys.indexOf(key) !== index)
  if (repeated !== undefined) throw invalid(param, `'${repeated}' stands there twice`)
}

function invalid(param: string, words: string): InferdError {
  return new InferdError('invalid_parameter', `${param}: ${words}`, { param })
}
