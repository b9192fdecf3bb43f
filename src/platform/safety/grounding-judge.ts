/**
 * Contextual grounding: is each sentence of an answer supported by the sources, and has the answer to do with the question? By the
 * cosine of sentence embeddings where a model gives them; without one by the share of content words and numbers that the sources have.
 */
import type { GuardContent, GuardFinding, GuardrailPolicy } from '#contract/guardrail'
import { coverage, overlap, stemsOf } from './lexical-similarity.ts'
import { sentencesOf } from './passage-cutter.ts'
import type { EmbedTexts } from './safety-ports.ts'
import { dot } from './topic-judge.ts'

type Thresholds = NonNullable<GuardrailPolicy['grounding']>
export type GroundingJudge = (passage: string, signal: AbortSignal) => Promise<GuardFinding[]>

const MAX_SENTENCES = 32
const MAX_SOURCE_SENTENCES = 512

/** Judges one answer, passage by passage; null = there is nothing to judge it by. */
export function makeGroundingJudge(
  thresholds: Thresholds,
  context: readonly GuardContent[],
  embedding: { readonly model: string; readonly embed: EmbedTexts } | null,
): GroundingJudge | null {
  const { groundingThreshold, relevanceThreshold } = thresholds
  const sources = textsOf(context, 'grounding_source')
    .flatMap((text) => sentencesOf(text, MAX_SOURCE_SENTENCES))
    .slice(0, MAX_SOURCE_SENTENCES)
  const queries = textsOf(context, 'query')
  const isGrounding = groundingThreshold !== null && sources.length > 0
  const isRelevance = relevanceThreshold !== null && queries.length > 0
  if (!isGrounding && !isRelevance) return null
  const score = embedding === null ? lexical(sources, queries) : embedded(sources, queries, embedding.model, embedding.embed)
  /** Of all passages so far: an answer may digress once it has answered. */
  let relevance = 0
  return async (passage, signal) => {
    const sentences = sentencesOf(passage, MAX_SENTENCES)
    if (sentences.length === 0) return []
    const scores = await score(sentences, signal)
    relevance = Math.max(relevance, scores.relevance)
    const findings: GuardFinding[] = []
    const whole = { match: passage, start: 0, end: passage.length, confidence: null }
    const add = (policy: 'grounding' | 'relevance', value: number, threshold: number): void => {
      findings.push({ policy, rule: policy.toUpperCase(), action: value < threshold ? 'block' : 'none', ...whole, score: value, threshold })
    }
    if (isGrounding) add('grounding', scores.grounding, groundingThreshold)
    if (isRelevance) add('relevance', relevance, relevanceThreshold)
    return findings
  }
}

function textsOf(context: readonly GuardContent[], qualifier: 'grounding_source' | 'query'): string[] {
  return context.filter(({ qualifiers }) => qualifiers.includes(qualifier)).map(({ text }) => text)
}

/** `grounding`: of the least supported sentence. */
type Scores = (sentences: readonly string[], signal: AbortSignal) => Promise<{ readonly grounding: number; readonly relevance: number }>

function lexical(sources: readonly string[], queries: readonly string[]): Scores {
  const vocabulary = new Set(sources.flatMap(stemsOf))
  const asked = new Set(queries.flatMap(stemsOf))
  return async (sentences) => ({
    grounding: Math.min(...sentences.map((sentence) => coverage(sentence, vocabulary))),
    relevance: Math.max(
      coverage(queries.join(' '), new Set(sentences.flatMap(stemsOf))),
      ...sentences.map((sentence) => overlap(new Set(stemsOf(sentence)), asked)),
    ),
  })
}

function embedded(sources: readonly string[], queries: readonly string[], model: string, embed: EmbedTexts): Scores {
  let sides: Promise<readonly Float32Array[]> | null = null
  return async (sentences, signal) => {
    sides ??= embed(model, [...sources, ...queries], signal)
    const known = await sides
    const answers = await embed(model, sentences, signal)
    const best = (vector: Float32Array, from: readonly Float32Array[]): number => Math.max(0, ...from.map((side) => dot(side, vector)))
    return {
      grounding: Math.min(...answers.map((vector) => best(vector, known.slice(0, sources.length)))),
      relevance: Math.max(...answers.map((vector) => best(vector, known.slice(sources.length)))),
    }
  }
}
