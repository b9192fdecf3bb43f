/**
 * The shipped model at temperature 2, held to about 150 schemas by the native kernels, many at once: what it writes of its own would be
 * no JSON at all, so every valid answer is the grammar's work. ajv and the reference matcher judge.
 */
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { GenerateRequest, JsonRecord } from '#contract/generate'
import { generate, type Engine } from '#engine/engine'
import { loadTokenizerFromGguf } from '#engine/tokenizers/load-tokenizer'
import { openModelFiles } from '#engine/weights/model-files'
import { SchemaCases } from '../../parity/json-schema-cases.ts'
import { ajvFor, compileSchema } from '../../parity/json-schema-matching.ts'
import { greedyRequest, PATIENT_CLOCK, smallEngine } from './greedy.ts'
import { USER_SCHEMAS } from './user-schemas.ts'

const MODEL = path.resolve(import.meta.dirname, '../../../models/inferd-chat/inferd-chat-Q8_0.gguf')
const NUM_RANDOM_SCHEMAS = 140
const MAX_TOKENS = 150
/** More than run at the same time, and fewer than may wait for their grammars to be compiled. */
const CONCURRENCY = 48
const NUM_NOISY_SCHEMAS = 1000
/** As the engine has it. */
const MAX_TENANT_BYTES = 32 * 2 ** 20
/** A line break, which may be of two characters, and then spaces or tabs. */
const LONGEST_WHITE_SPACE = 42

interface Case {
  readonly name: string
  readonly schema: JsonRecord
  readonly seed: number
}

interface Answer {
  readonly text: string
  /** The finish reason, or the code of the error. */
  readonly end: string
  readonly problem: string
}

const cases = allCases()
let engine: Engine
let closingTokens: readonly number[]
let together: readonly Answer[]
let numForcedTogether: number

beforeAll(async () => {
  engine = await smallEngine(MODEL, {}, { clock: PATIENT_CLOCK })
  closingTokens = await tokensThatClose()
  together = await askAll()
  numForcedTogether = engine.stats().numForcedTokens
})

afterAll(() => engine.close())

function allCases(): readonly Case[] {
  const random = new SchemaCases(new SeededRandom(511))
  const drawn = Array.from({ length: NUM_RANDOM_SCHEMAS }, (_, index) => [`random ${index}`, random.next()] as const)
  return [...Object.entries(USER_SCHEMAS), ...drawn].map(([name, schema], index) => ({ name, schema, seed: 1000 + index }))
}

/** Liked a little more than the model likes them, so that strings and lists end at some time: it would babble to the limit in each. */
async function tokensThatClose(): Promise<readonly number[]> {
  const files = await openModelFiles(MODEL)
  await files.tensors.close()
  if (files.tokenizerSource.kind !== 'gguf') return expect.unreachable('the shipped model is a GGUF file')
  const tokenizer = loadTokenizerFromGguf(files.tokenizerSource.values)
  const first = (tokenId: number): string => Buffer.from(tokenizer.tokenBytes(tokenId)).toString().trim().charAt(0)
  return Array.from({ length: tokenizer.vocabSize }, (_, tokenId) => tokenId).filter((tokenId) => '"]}'.includes(first(tokenId) || ' '))
}

function requestOf({ schema, seed }: Case, different: Partial<GenerateRequest> = {}): GenerateRequest {
  const base = greedyRequest([])
  return {
    ...base,
    requestId: `structured-${seed}`,
    input: { kind: 'messages', messages: [{ role: 'user', content: 'What is the capital of France?' }] },
    sampling: { ...base.sampling, temperature: 2, seed, logitBias: closingTokens.map((tokenId) => ({ tokenId, bias: 12 })) },
    output: { ...base.output, format: { kind: 'json-schema', schema, whitespace: seed % 3 === 0 ? 'none' : 'flexible' } },
    maxTokens: MAX_TOKENS,
    numTopLogprobs: null,
    ignoreEos: false,
    ...different,
  }
}

async function askAll(different: Partial<GenerateRequest> = {}): Promise<readonly Answer[]> {
  const answers: Answer[] = []
  await inTurns(cases.length, async (index) => {
    answers[index] = await ask(requestOf(cases[index]!, different))
  })
  return answers
}

/** Each one that ends lets the next one in. */
async function inTurns(numTurns: number, take: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const takeTurns = async (): Promise<void> => {
    while (next < numTurns) await take(next++)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, takeTurns))
}

async function ask(request: GenerateRequest): Promise<Answer> {
  let text = ''
  let end = 'never'
  let problem = ''
  for await (const event of generate(engine, request, new AbortController().signal)) {
    if (event.type === 'text-delta') text += event.text
    if (event.type === 'choice-end') end = event.finishReason
    if (event.type === 'response-error') [end, problem] = [event.error.code, event.error.message]
  }
  return { text, end, problem }
}

/** What is wrong with an answer; null = nothing. */
function fault({ schema, seed }: Case, { text, end }: Answer): string | null {
  const whitespace = seed % 3 === 0 ? 'none' : 'flexible'
  if (end === 'length') return isBeginning(schema, whitespace, text) ? null : 'no beginning of a match'
  if (end !== 'stop') return `ended with ${end}`
  try {
    return ajvFor(schema)(JSON.parse(text)) ? null : 'invalid'
  } catch (error) {
    return String(error)
  }
}

function isBeginning(schema: JsonRecord, whitespace: 'flexible' | 'none', text: string): boolean {
  const matcher = compileSchema(schema, { whitespace }).createMatcher()
  // The limit may fall into a code point.
  return [...Buffer.from(text.replace(/\uFFFD$/, ''))].every((byte) => matcher.accept(byte))
}

function faults(answers: readonly Answer[]): readonly unknown[] {
  return cases.flatMap((each, index) => {
    const answer = answers[index]!
    if (isRefused(answer)) return []
    const wrong = fault(each, answer)
    return wrong === null ? [] : [{ name: each.name, schema: JSON.stringify(each.schema), wrong, ...answer }]
  })
}

function isRefused({ end, problem }: Answer): boolean {
  return end === 'invalid_parameter' && /no value satisfies|matches no text/.test(problem)
}

function count(answers: readonly Answer[], end: string): number {
  return answers.filter((answer) => answer.end === end).length
}

test('every finished answer is valid, and every cut one is the beginning of a valid one', () => {
  expect(faults(together)).toEqual([])
  expect(together.filter(isRefused).length).toBeLessThan(20)
  expect(count(together, 'stop')).toBeGreaterThan(100)
  expect(count(together, 'length')).toBeGreaterThan(5)
})

test('white space between the tokens of JSON is bounded', () => {
  const outsideOfStrings = together.map(({ text }) => text.replace(/"(?:[^"\\]|\\.)*(?:"|$)/g, 'x'))
  const runs = outsideOfStrings.flatMap((text) => text.match(/\s+/g) ?? []).map((run) => run.length)
  expect(runs.length).toBeGreaterThan(50)
  expect(Math.max(...runs)).toBeLessThanOrEqual(LONGEST_WHITE_SPACE)
  const compact = outsideOfStrings.filter((_, index) => cases[index]!.seed % 3 === 0)
  expect(compact.filter((text) => /\s/.test(text))).toEqual([])
})

test('an answer is the same alone as in the mix', async () => {
  const alone: Answer[] = []
  for (const each of cases) alone.push(await ask(requestOf(each, { cacheSalt: `alone ${each.seed}` })))
  expect(alone).toEqual(together)
})

test('tokens that a schema leaves no choice about are not sampled, unless their logprobs are asked for', async () => {
  expect(numForcedTogether).toBeGreaterThan(1000)
  const before = engine.stats().numForcedTokens
  const seen = await askAll({ numTopLogprobs: 1 })
  expect(engine.stats().numForcedTokens).toBe(before)
  expect(faults(seen)).toEqual([])
  expect(count(seen, 'stop')).toBeGreaterThan(100)
})

test('a thousand schemas of one tenant are held to the bounds of the cache, and cost another tenant no hit', async () => {
  const question = { maxTokens: 1, numTopLogprobs: null, cacheSalt: 'quiet' } as const
  await ask(requestOf(cases[0]!, question))
  const before = engine.stats()
  await inTurns(NUM_NOISY_SCHEMAS, async (index) => {
    const values = Array.from({ length: 200 }, (_, value) => `${value * 7919 + index} of many`)
    const answer = await ask(requestOf({ name: 'noisy', schema: { enum: values }, seed: index }, { maxTokens: 1, cacheSalt: 'noisy' }))
    expect(answer).toMatchObject({ end: 'length', problem: '' })
  })
  const between = engine.stats()
  expect(between.numGrammarMisses - before.numGrammarMisses).toBe(NUM_NOISY_SCHEMAS)
  expect(between.numGrammars - before.numGrammars).toBeLessThan(NUM_NOISY_SCHEMAS)
  expect(between.grammarBytes - before.grammarBytes).toBeLessThan(MAX_TENANT_BYTES)
  await ask(requestOf(cases[0]!, question))
  expect(engine.stats().numGrammarHits - between.numGrammarHits).toBe(1)
  expect(engine.stats().numGrammarMisses).toBe(between.numGrammarMisses)
})

test('afterwards every block is free', async () => {
  await expect.poll(() => engine.stats()).toMatchObject({ numRunning: 0, numWaiting: 0 })
  const { numBlocks, numFreeBlocks } = engine.stats()
  expect(numFreeBlocks).toBe(numBlocks)
})
