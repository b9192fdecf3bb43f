/** A run: one request to see that the server answers, prompts fitted to its tokenizer, warm-up, then one level of load after the other. */
import type { Clock } from '#base/clock'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import type { BenchReport, LevelReport } from './bench-report.ts'
import { LevelTally } from './level-figures.ts'
import type { Load } from './load.ts'
import { runLoad } from './load-loop.ts'
import type { Objective } from './objective.ts'
import { type BenchTarget, OpenAiServer } from './openai-server.ts'
import { ONE_TOKEN_A_WORD, PromptMaker, type PromptShape, type PromptSource, type TokenRange, type WordScale, wordScale } from './prompt-maker.ts'
import type { Answered } from './request-outcome.ts'

export interface BenchPlan {
  readonly target: BenchTarget
  /** At least one. */
  readonly loads: readonly Load[]
  /** Of each level; null = five of each caller's, and 20 at least. */
  readonly numRequests: number | null
  /** Of each level; null = until its requests were sent. */
  readonly durationMs: number | null
  /** Of an open load. */
  readonly maxInFlight: number
  readonly shape: PromptShape
  /** null = words. */
  readonly promptIds: TokenRange | null
  readonly objective: Objective | null
  readonly numWarmUps: number
  readonly seed: number
}

export interface BenchProgress {
  readonly load: Load
  readonly numEnded: number
  /** null = the duration says when it is over. */
  readonly numRequests: number | null
}

/** Of one level, whatever its duration: their times are kept. */
export const MAX_REQUESTS = 200_000
const REQUESTS_PER_CALLER = 5
const MIN_REQUESTS = 20
const MAX_WARM_UPS_AT_ONCE = 8
const SCALE_WORDS = [32, 128] as const
/** Prompts of one level begin behind those of all levels before it, and behind those of the warm-up. */
const LEVEL_STRIDE = MAX_REQUESTS

/**
 * Throws upstream_failed when the first request fails; requests that fail later are counted. When the signal aborts, the report tells what was
 * measured until then and is partial; before the first level there is nothing to tell, and the signal's reason is thrown.
 */
export async function measureServer(
  plan: BenchPlan,
  { clock, onProgress = () => {} }: { readonly clock: Clock; readonly onProgress?: (progress: BenchProgress) => void },
  signal: AbortSignal,
): Promise<BenchReport> {
  const { target, shape, seed, objective, loads } = plan
  const startedAt = new Date(clock.wallMs()).toISOString()
  const server = new OpenAiServer(target, clock)
  try {
    const source = await fitPrompts(server, plan, signal)
    const prompts = new PromptMaker({ shape, source, seed })
    await warmUp(server, prompts, plan.numWarmUps, signal)
    signal.throwIfAborted()
    const levels: LevelReport[] = []
    for (const [index, load] of loads.entries()) {
      if (signal.aborted) break
      levels.push(await measureLevel({ plan, server, prompts, load, index, clock, onProgress }, signal))
    }
    const { url, model, endpoint, isStreamed } = target
    const partialReason = signal.aborted ? reasonOf(signal) : null
    return { url, model, endpoint, isStreamed, startedAt, seed, shape, source, objective, numWarmUps: plan.numWarmUps, partialReason, levels }
  } finally {
    await server.close()
  }
}

interface Level {
  readonly plan: BenchPlan
  readonly server: OpenAiServer
  readonly prompts: PromptMaker
  readonly load: Load
  readonly index: number
  readonly clock: Clock
  readonly onProgress: (progress: BenchProgress) => void
}

async function measureLevel({ plan, server, prompts, load, index, clock, onProgress }: Level, signal: AbortSignal): Promise<LevelReport> {
  const { durationMs, maxInFlight, seed, objective } = plan
  const random = new SeededRandom(seed + index)
  const tally = new LevelTally(objective, random)
  const numRequests = plan.numRequests ?? (durationMs === null ? defaultRequests(load) : null)
  const firstPrompt = (index + 1) * LEVEL_STRIDE
  await runLoad(
    {
      load,
      maxRequests: numRequests ?? MAX_REQUESTS,
      durationMs,
      maxInFlight,
      clock,
      random: new SeededRandom(seed + index),
      ask: (request, dueMs) => server.ask(prompts.at(firstPrompt + request), dueMs, signal),
      onOutcome: (outcome) => {
        tally.add(outcome)
        onProgress({ load, numEnded: tally.numEnded, numRequests })
      },
    },
    signal,
  )
  return { load, isPartial: signal.aborted, ...tally.figures() }
}

function defaultRequests(load: Load): number {
  return Math.max(MIN_REQUESTS, load.kind === 'closed' ? load.concurrency * REQUESTS_PER_CALLER : 0)
}

/** Asks for one token behind a short and a longer prompt: what words cost there. The first answer also shows that the server answers at all. */
async function fitPrompts(server: OpenAiServer, { promptIds, seed }: BenchPlan, signal: AbortSignal): Promise<PromptSource> {
  const source: PromptSource = promptIds === null ? { kind: 'words', scale: ONE_TOKEN_A_WORD } : { kind: 'ids', range: promptIds }
  const counts: { readonly words: number; readonly answered: Answered }[] = []
  for (const words of promptIds === null ? SCALE_WORDS : SCALE_WORDS.slice(0, 1)) {
    const lengths = { min: words, max: words }
    const shape: PromptShape = { promptTokens: lengths, outputTokens: { min: 1, max: 1 }, prefixTokens: 0 }
    counts.push({ words, answered: await askOnce(server, new PromptMaker({ shape, source, seed }), words, signal) })
  }
  return source.kind === 'ids' ? source : { kind: 'words', scale: scaleOf(counts) }
}

function scaleOf(counts: readonly { readonly words: number; readonly answered: Answered }[]): WordScale {
  const [short, long] = counts.map(({ words, answered }) => ({ words, tokens: answered.numPromptTokens }))
  const isTold = counts.every(({ answered }) => answered.isUsageTold)
  return short === undefined || long === undefined || !isTold ? ONE_TOKEN_A_WORD : wordScale(short, long)
}

async function askOnce(server: OpenAiServer, prompts: PromptMaker, index: number, signal: AbortSignal): Promise<Answered> {
  const outcome = await server.ask(prompts.at(index), null, signal)
  if (outcome.kind === 'answered') return outcome
  if (outcome.kind === 'cancelled') throw signal.reason as Error
  const { kind, words } = outcome.error
  throw new InferdError('upstream_failed', `the first request failed (${kind}): ${words}`)
}

/** Failures count for nothing here. */
async function warmUp(server: OpenAiServer, prompts: PromptMaker, numWarmUps: number, signal: AbortSignal): Promise<void> {
  let numAsked = 0
  const caller = async (): Promise<void> => {
    while (numAsked < numWarmUps && !signal.aborted) await server.ask(prompts.at(numAsked++), null, signal)
  }
  await Promise.all(Array.from({ length: Math.min(numWarmUps, MAX_WARM_UPS_AT_ONCE) }, caller))
}

function reasonOf({ reason }: AbortSignal): string {
  return reason instanceof Error ? reason.message : String(reason)
}
