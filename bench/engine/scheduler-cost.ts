/**
 * JavaScript cost of one step, everything but the executor: decide, apply, batch, commit, emit. Null kernels, all sequences decode.
 * Run: node --conditions=inferd-source bench/engine/scheduler-cost.ts [SEQUENCES] [STEPS]
 */
import { systemClock } from '#base/clock'
import { EngineCore } from '#engine/engine-core'
import { engineCoreOptions } from '#engine/engine-core-options'
import { emit, recordOf } from '../record.ts'
import { bindNullExecutor } from '../../tests/simulation/null-core.ts'
import { generateRequest } from '../../tests/simulation/recorded-sink.ts'
import type { EngineCoreStats } from '#engine/engine-core-options'
import type { TokenSink } from '#engine/scheduler/token-request'

const [numSequences = 256, numSteps = 512] = process.argv.slice(2).map(Number)
const PROMPT_TOKENS = 128
const WARMUP_STEPS = 64

const SILENT_SINK: TokenSink = {
  onStart: () => undefined,
  onToken: () => undefined,
  onChoiceEnd: () => undefined,
  onEmbedding: () => undefined,
  onEnd: () => undefined,
  onError: () => undefined,
}

const contextLength = PROMPT_TOKENS + numSteps * 2 + WARMUP_STEPS * 2
const options = engineCoreOptions({
  contextLength,
  numBlocks: Math.ceil(contextLength / 16) * numSequences,
  maxSequences: numSequences,
  maxTokensPerStep: 4096,
  maxPrefillTokensWithDecodes: 4096,
  eosTokenIds: [0],
  vocabSize: 32_000,
  hiddenSize: 8,
  modelIdentity: 'bench',
})

/** Microseconds outside the executor, one entry a step. */
async function measure(label: string, hasPenalties: boolean): Promise<void> {
  const stepUs: number[] = []
  let previous: EngineCoreStats | null = null
  const onTurnEnd = (): void => {
    const stats: EngineCoreStats = core.stats()
    if (previous !== null && stats.numSteps > previous.numSteps) stepUs.push((ownMs(stats) - ownMs(previous)) * 1000)
    previous = stats
  }
  const core: EngineCore = new EngineCore({ executor: await bindNullExecutor(options), options, clock: systemClock, onTurnEnd })
  const sampling = { ...generateRequest([1]).sampling, presencePenalty: hasPenalties ? 0.5 : 0 }
  for (let index = 0; index < numSequences; index++) {
    const promptTokenIds = Array.from({ length: PROMPT_TOKENS }, (_, position) => 1 + ((index * 7919 + position * 31) % 31_999))
    core.submit(generateRequest(promptTokenIds, { maxTokens: null, ignoreEos: true, sampling }), SILENT_SINK)
  }
  while (core.stats().numRunning < numSequences || core.stats().completionTokens < numSequences * WARMUP_STEPS) await core.probe()
  stepUs.length = 0
  while (stepUs.length < numSteps) await core.probe()
  stepUs.sort((a, b) => a - b)
  const quantile = (q: number): number => stepUs[Math.floor(q * (stepUs.length - 1))]!
  for (const [metric, q] of [
    ['p10', 0.1],
    ['median', 0.5],
    ['p90', 0.9],
  ] as const) {
    const name = `${label}, ${numSequences} sequences, ${stepUs.length} steps`
    emit(recordOf({ suite: 'scheduler', case: name, metric: `a step outside of the executor, ${metric}`, unit: 'us' }, [quantile(q)]))
  }
  await core.close()
}

function ownMs(stats: EngineCoreStats): number {
  return stats.stepMsSum - stats.executorMsSum
}

await measure('no penalties', false)
await measure('presence penalty', true)
