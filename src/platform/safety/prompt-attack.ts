/**
 * Prompt attacks, by the marks that they bear: weights of the features that a text has are added up, those of one family count once.
 * Heuristics, no proof: precision and recall are measured in tests/safety. Every pattern is bounded, so the scan is linear.
 */
import { setImmediate } from 'node:timers/promises'
import { foldCodePoint } from './fold-text.ts'
import type { Confidence } from './safety-ports.ts'

interface Feature {
  readonly family: 'override' | 'persona' | 'delimiter' | 'exfiltration' | 'evasion'
  readonly weight: number
  readonly pattern: RegExp
}

const OVERRIDE = String.raw`(?:ignore|disregard|forget|override|bypass|drop|discard|neglect|skip|violate)`
const HABITS = 'programming|training|guardrails?|safety'
const RULES = String.raw`(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|constraints?|polic(?:y|ies)|restrictions?|${HABITS})`
const THEIR = String.raw`(?:your|the|any|these|those|previous|system)`
const WHOSE = String.raw`(?:previous|prior|above|earlier|preceding|existing|initial|original|system|your|all|any|every|these|those|developer'?s?)`
const TELL = String.raw`(?:reveal|show|print|repeat|output|display|leak|disclose|expose|dump|recite|write out|copy|tell|give|share|send|summari[sz]e|translate|encode)`
const PROMPT = String.raw`(?:(?:system|initial|hidden|secret) (?:prompt|message|instructions?)|pre-?prompt|developer (?:prompt|message)|original instructions?)`
const LAWLESS = String.raw`(?:no|without|free of|free from|not bound by|unbound by|ignores?)`
const GUARDS = String.raw`safety|filters?|guardrails?|restrictions?|moderation|censorship|ethic\w*`
const SECRETS = 'api keys?|passwords?|credentials|environment variables|secrets'
const LAWS = String.raw`(?:restrictions?|rules|filters?|limits|limitations|ethics|ethical|moral|morals|guidelines|censorship|safety|content polic)`
const FEATURES: readonly Feature[] = [
  ...features('override', 0.8, [
    String.raw`\b${OVERRIDE}\b.{0,30}\b${WHOSE}\b.{0,30}\b${RULES}\b`,
    String.raw`\b(?:ignore|disregard|forget)\b.{0,12}\b(?:everything|anything|all)\b.{0,24}\b(?:above|before|said|told|previous|prior|learned|far)\b`,
    String.raw`\b(?:do not|don't|stop|no longer)\b.{0,12}\b(?:follow|obey|comply with|adhere to|bound by)\b.{0,24}\b${THEIR}\b.{0,24}\b${RULES}\b`,
    String.raw`\b(?:your|these are|here are|following) (?:new|updated|real|actual|true)\b.{0,12}\b(?:instructions?|rules|orders|directives?|task)\b.{0,4}(?::|are|is)`,
    String.raw`\b(?:ignoriere|vergiss|missachte)\b.{0,40}\b(?:anweisungen|regeln|vorgaben)\b`,
    String.raw`\b(?:ignore[zr]?|oublie[zr]?)\b.{0,40}\b(?:instructions|consignes|regles)\b`,
    String.raw`\b(?:ignora|olvida|omite)\b.{0,40}\b(?:instrucciones|reglas|istruzioni|ordenes)\b`,
  ]),
  ...features('override', 0.4, [
    String.raw`\b(?:from now on|henceforth|starting now)\b.{0,20}\b(?:you|your)\b`,
    String.raw`\b(?:new|system) (?:instructions?|override|directive)\b *:`,
    String.raw`\bend of (?:the )?(?:system )?(?:prompt|instructions)\b`,
  ]),
  ...features('persona', 0.8, [
    String.raw`\b(?:do anything now|dan mode|developer mode (?:enabled|on)|jailbr(?:eak|oken)|god mode|evil mode)\b`,
    String.raw`\b(?:you are|act as|pretend|behave as|role ?play|become|simulate)\b.{0,60}\b${LAWLESS}\b.{0,20}\b(?:an[y] )?${LAWS}`,
    String.raw`\b(?:you are|act as|pretend to be|become)\b.{0,24}\b(?:unrestricted|uncensored|unfiltered|amoral|evil|unaligned)\b`,
    String.raw`\b(?:disable|turn off|deactivate|remove|switch off)\b.{0,24}\b(?:your|all|the|any)\b.{0,20}\b(?:${GUARDS})\b`,
  ]),
  ...features('persona', 0.4, [
    String.raw`\bpretend (?:that )?(?:you|to)\b.{0,40}\b(?:no|not|without|anything|never)\b`,
    String.raw`\b(?:never|must not|cannot|can't|won't) (?:refuse|decline|say no|warn|apologi[sz]e)\b`,
    String.raw`\bi am (?:your|the) (?:developer|creator|admin(?:istrator)?|owner|programmer)\b`,
    String.raw`\bstay in character\b`,
    String.raw`\bhypothetical(?:ly)?\b.{0,40}\b(?:no|without)\b.{0,12}\b(?:rules|restrictions|filters|laws)\b`,
  ]),
  ...features('delimiter', 0.7, [
    String.raw`<\|(?:im_start|im_end|system|user|assistant|endoftext|start_header_id|end_header_id|eot_id|begin_of_text)\|?>`,
    String.raw`\[/?inst\]|<<sys>>|<start_of_turn>|<end_of_turn>|\[/?system\]|<\/?system(?:_prompt)?>`,
    String.raw`^ {0,3}(?:#{1,6} {0,2})?(?:system|assistant)(?: message| prompt)? {0,2}:(?=.{0,80}\b(?:you|ignore|must|now|user|rules|override)\b)`,
    String.raw`\]\]>|\}\}\} *system|"role" *: *"system"`,
  ]),
  ...features('exfiltration', 0.8, [
    String.raw`\b${TELL}\b.{0,40}\b(?:your|the|this|its|full|entire|hidden|secret|initial|original)\b.{0,24}\b${PROMPT}\b`,
    String.raw`\b(?:what|which) (?:is|are|were|was|does)\b.{0,12}\byour\b.{0,20}\b${PROMPT}\b`,
    String.raw`\b(?:repeat|print|output|copy|write|recite)\b.{0,20}\b(?:everything|all|words|text|sentences)\b.{0,24}\b(?:above|before this|preceding)\b`,
    String.raw`\b(?:reveal|print|leak|dump|send|exfiltrate)\b.{0,30}\b(?:${SECRETS})\b.{0,40}\b(?:you|your|system|configuration|to https?:)`,
  ]),
  ...features('evasion', 0.4, [
    String.raw`\b(?:base64|rot13|hex|morse|leetspeak|reversed?)\b.{0,40}\b(?:decode|follow|execute|obey|instructions?)\b`,
    String.raw`\b(?:decode|decrypt|unscramble)\b.{0,40}\b(?:and|then)\b.{0,12}\b(?:follow|execute|obey|do|run|carry out)\b`,
  ]),
]
const ENCODED = /[A-Za-z0-9+/]{24,4096}={0,2}|(?:[0-9a-fA-F]{2}){16,2048}/g
const MAX_ENCODED = 64
const WINDOW = 8192
const WINDOW_OVERLAP = 512
const MIN_WEIGHTS = { HIGH: 0.8, MEDIUM: 0.6, LOW: 0.35 } as const

export interface AttackScore {
  /** [0, 1]. */
  readonly score: number
  readonly confidence: Confidence
}

/** The worst of the text's windows: long texts are read piece by piece, and the event loop runs in between. */
export async function scorePromptAttack(text: string): Promise<AttackScore> {
  let worst = scoreWindow(text.slice(0, WINDOW))
  for (let at = WINDOW - WINDOW_OVERLAP; at + WINDOW_OVERLAP < text.length && worst.score < 1; at += WINDOW - WINDOW_OVERLAP) {
    await setImmediate()
    const next = scoreWindow(text.slice(at, at + WINDOW))
    if (next.score > worst.score) worst = next
  }
  return worst
}

function scoreWindow(text: string): AttackScore {
  const plain = scoreOf(foldForAttack(text))
  const hidden = Math.max(0, ...decodedParts(text).map((part) => scoreOf(foldForAttack(part))))
  // Who encodes an attack knows that it is one.
  const score = Math.min(1, Math.max(plain, hidden > 0 ? hidden + 0.2 : 0))
  const confidence = score >= MIN_WEIGHTS.HIGH ? 'HIGH' : score >= MIN_WEIGHTS.MEDIUM ? 'MEDIUM' : score >= MIN_WEIGHTS.LOW ? 'LOW' : 'NONE'
  return { score, confidence }
}

function scoreOf(text: string): number {
  const best = new Map<string, number>()
  for (const { family, weight, pattern } of FEATURES) {
    if (pattern.test(text)) best.set(family, Math.max(best.get(family) ?? 0, weight))
  }
  return Math.min(
    1,
    [...best.values()].reduce((sum, weight) => sum + weight, 0),
  )
}

function foldForAttack(text: string): string {
  let folded = ''
  for (const character of text) folded += character === '\n' ? '\n' : foldCodePoint(character.codePointAt(0)!)
  return folded.replaceAll(/[‘’]/g, "'")
}

/** What base 64 and hexadecimal hide, where it is text. */
function decodedParts(text: string): string[] {
  return [...text.matchAll(ENCODED)].slice(0, MAX_ENCODED).flatMap(([part]) => {
    const decoded = [Buffer.from(part, 'base64').toString('utf8'), /^[0-9a-fA-F]+$/.test(part) ? Buffer.from(part, 'hex').toString('utf8') : '']
    return decoded.filter((candidate) => candidate.length > 12 && /^[\p{L}\p{N}\p{P}\p{S}\s]+$/u.test(candidate) && !candidate.includes('\ufffd'))
  })
}

function features(family: Feature['family'], weight: number, patterns: readonly string[]): Feature[] {
  return patterns.map((pattern) => ({ family, weight, pattern: new RegExp(pattern, 'ims') }))
}
