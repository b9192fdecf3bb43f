/**
 * Denied topics: how near a sentence is to a topic's definition and examples. With an embedding model by the cosine of vectors, both
 * freed of the mean that neutral sentences share (mean-pooled vectors of language models all point one way); without one by words.
 */
import type { GuardFinding, GuardrailPolicy } from '#contract/guardrail'
import { overlap, stemsOf } from './lexical-similarity.ts'
import { sentencesOf } from './passage-cutter.ts'
import type { EmbedTexts } from './safety-ports.ts'

const TOPIC_THRESHOLDS = { embedding: 0.6, lexical: 0.42 } as const

type Topics = GuardrailPolicy['topics']
export type TopicJudge = (text: string, signal: AbortSignal) => Promise<GuardFinding[]>

const MAX_SENTENCES = 32
const NEUTRAL = [
  'The weather is nice today.',
  'Please write a short summary of the meeting.',
  'The train leaves at nine in the morning.',
  'Here is a list of three colours.',
  'The function returns the length of the array.',
  'My sister likes to cook with fresh herbs.',
  'The museum opens again on Tuesday.',
  'He put the book back on the shelf.',
]

export function makeTopicJudge(
  topics: Topics,
  direction: 'input' | 'output',
  embedding: { readonly model: string; readonly embed: EmbedTexts } | null,
): TopicJudge {
  const score = embedding === null ? lexicalScores(topics) : embeddedScores(topics, embedding.model, embedding.embed)
  const threshold = embedding === null ? TOPIC_THRESHOLDS.lexical : TOPIC_THRESHOLDS.embedding
  return async (text, signal) => {
    const sentences = sentencesOf(text, MAX_SENTENCES)
    if (sentences.length === 0) return []
    const scores = await score(sentences.length > 1 && text.length <= 600 ? [...sentences, text] : sentences, signal)
    return topics.flatMap((topic, index): GuardFinding[] => {
      const best = scores[index]!
      if (best < threshold) return []
      const whole = { match: text, start: 0, end: text.length, score: best, threshold, confidence: null }
      return [{ policy: 'topic', rule: topic.name, action: topic[direction], ...whole }]
    })
  }
}

/** For each topic the best score over the sentences. */
type Scores = (sentences: readonly string[], signal: AbortSignal) => Promise<readonly number[]>

function lexicalScores(topics: Topics): Scores {
  const sides = topics.map((topic) => ({
    examples: topic.examples.map((example) => new Set(stemsOf(example))),
    vocabulary: new Set([topic.name, topic.definition, ...topic.examples].flatMap(stemsOf)),
  }))
  return async (sentences) =>
    sides.map(({ examples, vocabulary }) =>
      Math.max(
        0,
        ...sentences.map((sentence) => {
          const words = new Set(stemsOf(sentence))
          const known = [...words].filter((word) => vocabulary.has(word)).length
          // One shared word proves nothing; from three on the topic's vocabulary alone may.
          const vocabularyScore = known < 2 ? 0 : (known / Math.max(3, words.size)) * Math.min(1, known / 3)
          const exampleScore = Math.max(0, ...examples.map((example) => (shares(words, example, 2) ? overlap(words, example) : 0)))
          return Math.max(vocabularyScore * 0.75, exampleScore)
        }),
      ),
    )
}

function shares(left: ReadonlySet<string>, right: ReadonlySet<string>, atLeast: number): boolean {
  let shared = 0
  for (const word of left) if (right.has(word)) shared++
  return shared >= Math.min(atLeast, left.size, right.size)
}

function embeddedScores(topics: Topics, model: string, embed: EmbedTexts): Scores {
  const texts = topics.map(({ name, definition, examples }) => [`${name}: ${definition}`, ...examples])
  /** Asked for once; a failure is forgotten, so that the next call asks again. */
  let sides: Promise<{ readonly mean: Float32Array; readonly vectors: readonly (readonly Float32Array[])[] }> | null = null
  const load = async (signal: AbortSignal): Promise<{ mean: Float32Array; vectors: Float32Array[][] }> => {
    const all = await embed(model, [...NEUTRAL, ...texts.flat()], signal)
    const mean = meanOf(all.slice(0, NEUTRAL.length))
    let at = NEUTRAL.length
    return { mean, vectors: texts.map((own) => own.map(() => centred(all[at++]!, mean))) }
  }
  return async (sentences, signal) => {
    sides ??= load(signal).catch((error: unknown) => {
      sides = null
      throw error
    })
    const { mean, vectors } = await sides
    const asked = (await embed(model, sentences, signal)).map((vector) => centred(vector, mean))
    return vectors.map((own) => Math.max(0, ...own.flatMap((side) => asked.map((vector) => dot(side, vector)))))
  }
}

function meanOf(vectors: readonly Float32Array[]): Float32Array {
  const mean = new Float32Array(vectors[0]!.length)
  for (const vector of vectors) for (let i = 0; i < mean.length; i++) mean[i]! += vector[i]! / vectors.length
  return mean
}

function centred(vector: Float32Array, mean: Float32Array): Float32Array {
  const moved = vector.map((value, i) => value - mean[i]!)
  const length = Math.sqrt(dot(moved, moved))
  return length === 0 ? moved : moved.map((value) => value / length)
}

export function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0
  for (let i = 0; i < left.length; i++) sum += left[i]! * right[i]!
  return sum
}
