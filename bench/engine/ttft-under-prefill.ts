/**
 * The first token of a short request while a long prompt is being prefilled, in engine steps and in milliseconds, and what streams feel that run
 * meanwhile: MODEL [PREFILL [STREAMS [SHORT [THREADS [ROUNDS [STEP_TOKENS]]]]]].
 *
 * Each round: STREAMS streams decode alone for a while, a prompt of PREFILL tokens comes, and behind its second step one of SHORT tokens. Counted are
 * the steps that end from the short request's arrival to its first token, the one that runs when it comes among them. Prompts share nothing.
 */
import path from 'node:path'
import { GREEDY_SAMPLING, PLAIN_REQUEST, type GenerateRequest } from '#contract/generate'
import { distributionOf } from '#bench/distribution'
import { generate } from '#engine/engine'
import { loadEngine } from '#engine/load-engine'
import { emit, recordOf } from '../record.ts'
import { differentPrompts } from './random-prompts.ts'

const [modelPath = '', prefill = '4096', streams = '4', short = '32', threads = '2', rounds = '7', stepTokens = '512'] = process.argv.slice(2)
const [numPrefill, numStreams, numShort, numRounds] = [prefill, streams, short, rounds].map(Number) as [number, number, number, number]
/** Of each stream before each prompt. */
const IDLE_TOKENS = 64
const STREAM_PROMPT = 64
/** Of the long prompt, before the short request comes. */
const STEPS_BEFORE = 2
const MAX_STEPS = 3
const MAX_RATIO = 2

const engine = await loadEngine({
  modelPath,
  kernels: 'native',
  isa: null,
  contextLength: numPrefill + 16 + (IDLE_TOKENS + numPrefill / 16) * (numRounds + 1),
  kvCacheBytes: 4 * 2 ** 30,
  kvDType: 'f16',
  packedWeights: null,
  blockSize: 16,
  maxTokensPerStep: Number(stepTokens),
  maxSequences: numStreams + 2,
  maxWaitingRequests: 16,
  numThreads: Number(threads),
})
const stop = new AbortController()
let numRequests = 0

function requestOf(tokenIds: readonly number[], maxTokens: number | null): GenerateRequest {
  return {
    ...PLAIN_REQUEST,
    requestId: `bench-${numRequests++}`,
    input: { kind: 'tokens', tokenIds },
    sampling: { ...GREEDY_SAMPLING, seed: 1 },
    maxTokens,
    ignoreEos: true,
    // Tells every token, those too that end within a character.
    numTopLogprobs: 0,
  }
}

/** Where the gaps of running streams go now; null = nowhere. */
let gaps: number[] | null = null
let numStreamTokens = 0

async function runStream(tokenIds: readonly number[]): Promise<never> {
  let lastMs: number | null = null
  for await (const event of generate(engine, requestOf(tokenIds, null), stop.signal)) {
    if (event.type !== 'text-delta') continue
    const nowMs = performance.now()
    if (lastMs !== null) gaps?.push(nowMs - lastMs)
    lastMs = nowMs
    numStreamTokens++
  }
  throw new Error('a stream ended before the measurement')
}

interface FirstToken {
  readonly ms: number
  readonly numSteps: number
}

/** From now to its first token. */
async function firstToken(tokenIds: readonly number[]): Promise<FirstToken> {
  const [startMs, startSteps] = [performance.now(), engine.stats().numSteps]
  for await (const event of generate(engine, requestOf(tokenIds, 1), stop.signal)) {
    if (event.type === 'text-delta') return { ms: performance.now() - startMs, numSteps: engine.stats().numSteps - startSteps }
  }
  throw new Error('an answer without a token')
}

async function untilSteps(count: number): Promise<void> {
  const target = engine.stats().numSteps + count
  while (engine.stats().numSteps < target) await engine.probe(stop.signal)
}

interface Round {
  readonly long: FirstToken
  readonly short: FirstToken
  readonly idleGaps: readonly number[]
  readonly besideGaps: readonly number[]
}

async function runRound(longPrompt: readonly number[], shortPrompt: readonly number[]): Promise<Round> {
  const idleGaps: number[] = []
  const besideGaps: number[] = []
  const enough = numStreamTokens + IDLE_TOKENS * numStreams
  gaps = idleGaps
  while (numStreamTokens < enough) await untilSteps(1)
  gaps = besideGaps
  const asked = firstToken(longPrompt)
  await untilSteps(STEPS_BEFORE)
  const shortToken = await firstToken(shortPrompt)
  const longToken = await asked
  gaps = null
  return { long: longToken, short: shortToken, idleGaps, besideGaps }
}

const running = differentPrompts(numStreams, STREAM_PROMPT, 1).map((prompt) => runStream(prompt))
const [longPrompts, shortPrompts] = [differentPrompts(numRounds + 1, numPrefill, 2), differentPrompts(numRounds + 1, numShort, 3)]
const done: Round[] = []
for (const [round, longPrompt] of longPrompts.entries()) {
  // A stream that ends before us does so by an error.
  const figures = await Promise.race([runRound(longPrompt, shortPrompts[round]!), ...running])
  // Round 0 warms up.
  if (round > 0) done.push(figures)
}
stop.abort()
await Promise.allSettled(running)
await engine.close()

const name = `${path.basename(modelPath)}, ${numPrefill} tokens in steps of ${stepTokens}, ${numStreams} streams, ${threads} threads`
const report = (metric: string, unit: string, values: readonly number[], limit?: number): void =>
  emit(recordOf({ suite: 'ttft-under-prefill', case: name, metric, unit }, values, limit))
const p99 = (values: readonly number[]): number => distributionOf(values)?.p99 ?? NaN
report(
  `first token of a request of ${numShort} tokens`,
  'steps',
  done.map((round) => round.short.numSteps),
  MAX_STEPS,
)
report(
  `first token of a request of ${numShort} tokens`,
  'ms',
  done.map((round) => round.short.ms),
)
report(
  'first token of the long request',
  'ms',
  done.map((round) => round.long.ms),
)
report(
  'first token of the long request',
  'steps',
  done.map((round) => round.long.numSteps),
)
report(
  'a step beside the prefill, mean',
  'ms',
  done.map((round) => round.long.ms / round.long.numSteps),
)
if (numStreams > 0) {
  const [idle, beside] = [done.flatMap((round) => round.idleGaps), done.flatMap((round) => round.besideGaps)]
  report(
    'gap of running streams, p50, idle',
    'ms',
    done.map((round) => distributionOf(round.idleGaps)?.p50 ?? NaN),
  )
  report(
    'gap of running streams, p99, idle',
    'ms',
    done.map((round) => p99(round.idleGaps)),
  )
  report(
    'gap of running streams, p99, beside the prefill',
    'ms',
    done.map((round) => p99(round.besideGaps)),
  )
  report('p99 of all rounds, beside / idle', '', [p99(beside) / p99(idle)], MAX_RATIO)
}
