/**
 * How hard a prompt looks, from its text alone: what sends easy questions to a cheap model. A weighted sum of features that are each
 * in [0, 1]; no model is asked. The weights are our own, set by hand; the score is an order, not a probability.
 */
import type { GenerateRequest, PromptInput } from '#contract/generate'

export interface PromptFeatures {
  /** Of the last user text against a page of it. */
  readonly length: number
  /** Earlier turns. */
  readonly turns: number
  readonly code: number
  readonly maths: number
  /** Words that ask for several steps: prove, compare, why. */
  readonly reasoning: number
  /** Several questions or demands in one. */
  readonly structure: number
  /** Tools or a schema that the answer must keep to. */
  readonly form: number
}

export interface PromptDifficulty {
  /** [0, 1]. */
  readonly score: number
  readonly features: PromptFeatures
}

const WEIGHTS: Readonly<Record<keyof PromptFeatures, number>> = {
  length: 0.25,
  turns: 0.1,
  code: 0.3,
  maths: 0.3,
  reasoning: 0.3,
  structure: 0.15,
  form: 0.2,
}

const LONG_CHARACTERS = 4000
const MANY_TURNS = 12
/** Only so much text is read: the score costs the same for any prompt. */
const MAX_READ_CHARACTERS = 16_384

const CODE =
  /```|\b(?:function|class|import|const|def|SELECT|public|void|return)\b[^.\n]{0,80}[({;:]|[{};]\s*\n|=>|\b(?:regex|stack trace|compile|refactor|algorithm)\b/g
const MATHS = /[∑∫√≤≥≠π∞]|\\(?:frac|int|sum|sqrt)|\d\s*[+*/^=]\s*\d|\b(?:integral|derivative|equation|matrix|theorem|probability|modulo|prime)\b/gi
const REASONING =
  /\b(?:prove|derive|explain why|step by step|compare|contrast|analy[sz]e|evaluate|trade-?offs?|design|plan|optimi[sz]e|debug|justify|critique|why)\b/gi
const DEMAND = /\?|^\s*(?:\d+[.)]|[-*])\s/gm

/** Pure, and linear in at most MAX_READ_CHARACTERS. */
export function promptDifficulty({ input, output }: Pick<GenerateRequest, 'input' | 'output'>): PromptDifficulty {
  const text = lastText(input).slice(0, MAX_READ_CHARACTERS)
  const { tools, format, reasoning } = output
  const features: PromptFeatures = {
    length: Math.min(1, textLength(input) / LONG_CHARACTERS),
    turns: input.kind === 'messages' ? Math.min(1, (input.messages.length - 1) / MANY_TURNS) : 0,
    code: saturate(countOf(text, CODE), 3),
    maths: saturate(countOf(text, MATHS), 3),
    reasoning: Math.max(saturate(countOf(text, REASONING), 2), reasoning.enabled === true ? 1 : 0),
    structure: saturate(Math.max(0, countOf(text, DEMAND) - 1), 4),
    form: Math.max(tools === null || tools.choice === 'none' ? 0 : saturate(tools.definitions.length, 4), format.kind === 'text' ? 0 : 0.5),
  }
  const names = Object.keys(WEIGHTS) as (keyof PromptFeatures)[]
  return {
    score: Math.min(
      1,
      names.reduce((sum, name) => sum + WEIGHTS[name] * features[name], 0),
    ),
    features,
  }
}

function lastText(input: PromptInput): string {
  if (input.kind === 'text') return input.text
  if (input.kind === 'tokens') return ''
  return input.messages.findLast(({ role }) => role === 'user')?.content ?? ''
}

function textLength(input: PromptInput): number {
  // A token of English text has about four characters.
  return input.kind === 'tokens' ? 4 * input.tokenIds.length : lastText(input).length
}

function countOf(text: string, pattern: RegExp): number {
  let count = 0
  for (const _ of text.matchAll(pattern)) if (++count >= 16) break
  return count
}

function saturate(count: number, full: number): number {
  return Math.min(1, count / full)
}
