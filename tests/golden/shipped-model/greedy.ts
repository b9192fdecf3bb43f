/** Greedy decoding through the engine's door, with the two best tokens of every step. */
import { systemClock, type Clock } from '#base/clock'
import { generate, type Engine, type EngineOptions } from '#engine/engine'
import { loadEngine, type LoadHooks } from '#engine/load-engine'
import { type GenerateRequest, GREEDY_SAMPLING, PLAIN_REQUEST } from '#contract/generate'

export interface GreedyStep {
  readonly token: number
  /** [token id, log-probability], best first. */
  readonly best: readonly (readonly [number, number])[]
}

/** Its sleeps only end when they are given up: a busy machine refuses no grammar. */
export const PATIENT_CLOCK: Clock = {
  nowMs: () => systemClock.nowMs(),
  wallMs: () => systemClock.wallMs(),
  sleep: (_, signal) => new Promise((__, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })),
}

export function smallEngine(modelPath: string, overrides: Partial<EngineOptions> = {}, hooks: LoadHooks = {}): Promise<Engine> {
  const options: EngineOptions = {
    modelPath,
    kernels: 'native',
    isa: null,
    contextLength: 1024,
    kvCacheBytes: null,
    kvDType: 'f16',
    packedWeights: null,
    blockSize: 16,
    maxTokensPerStep: 256,
    maxSequences: 32,
    maxWaitingRequests: 1024,
    numThreads: null,
    ...overrides,
  }
  return loadEngine(options, hooks)
}

export function greedyRequest(tokenIds: readonly number[], overrides: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    ...PLAIN_REQUEST,
    requestId: 'greedy',
    input: { kind: 'tokens', tokenIds },
    sampling: { ...GREEDY_SAMPLING, seed: 1 },
    maxTokens: 64,
    ignoreEos: true,
    numTopLogprobs: 2,
    ...overrides,
  }
}

/** The tokens of one answer; its end-of-turn token is not among them. */
export async function greedySteps(engine: Engine, tokenIds: readonly number[]): Promise<GreedyStep[]> {
  const steps: GreedyStep[] = []
  for await (const event of generate(engine, greedyRequest(tokenIds, { ignoreEos: false }), new AbortController().signal)) {
    if (event.type === 'response-error') throw new Error(event.error.message)
    if (event.type !== 'text-delta' || event.logprobs === null) continue
    steps.push(...event.logprobs.map(({ tokenId, top }) => ({ token: tokenId, best: top.map((entry) => [entry.tokenId, entry.logprob] as const) })))
  }
  return steps
}

/** Where two greedy runs part, and how close the two tokens were there by each side's own figures; null when they do not part. */
export function firstDifference(
  ours: readonly GreedyStep[],
  theirs: readonly GreedyStep[],
): { readonly step: number; readonly ourGap: number; readonly theirGap: number } | null {
  const step = ours.findIndex((entry, index) => entry.token !== theirs[index]?.token)
  if (step < 0 && ours.length === theirs.length) return null
  // One of them ended here: its gap is not known.
  if (step < 0 || step >= theirs.length) return { step, ourGap: Infinity, theirGap: Infinity }
  return { step, ourGap: gap(ours[step]!), theirGap: gap(theirs[step]!) }
}

function gap({ best }: GreedyStep): number {
  return best[0]![1] - best[1]![1]
}
