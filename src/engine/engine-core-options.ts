/** Limits and facts that an engine core is built with, and the snapshot that it gives of itself. */
import { assert } from '#base/assert'
import type { StepLimits } from '#engine/kernels/kernels'
import type { SchedulerOptions } from '#engine/scheduler/scheduler-options'

/** The core has no options of its own: runner and executor are sized by the scheduler's. */
export type EngineCoreOptions = SchedulerOptions

/** What must be known of a model and its memory; the rest has defaults that suit two cores. */
export type EngineCoreFacts = Pick<EngineCoreOptions, 'contextLength' | 'numBlocks' | 'eosTokenIds' | 'vocabSize' | 'hiddenSize' | 'modelIdentity'>

/** Fills in the defaults; derived values follow the overrides. Throws BugError when the numbers contradict each other. */
export function engineCoreOptions(given: EngineCoreFacts & Partial<EngineCoreOptions>): EngineCoreOptions {
  const maxSequences = given.maxSequences ?? 64
  const maxTokensPerStep = given.maxTokensPerStep ?? Math.max(512, maxSequences)
  const options: EngineCoreOptions = {
    blockSize: 16,
    maxSequences,
    maxTokensPerStep,
    // On a CPU a step's time grows with its tokens from the first few on; 64 already stream the weights at nearly full use.
    maxPrefillTokensWithDecodes: Math.min(64, maxTokensPerStep),
    maxOutputsPerStep: Math.max(64, maxSequences),
    maxWaitingRequests: 1024,
    admissionWatermarkBlocks: Math.ceil(given.numBlocks / 100),
    priorityAgingSteps: 2000,
    enablePrefixCache: true,
    ...given,
  }
  checkEngineCoreOptions(options)
  return options
}

export function checkEngineCoreOptions(options: EngineCoreOptions): void {
  assert(options.contextLength >= 2, 'a context holds a prompt token and an output token')
  assert(options.blockSize >= 1 && options.numBlocks >= 1, 'the KV cache has blocks')
  assert(options.maxSequences >= 1, 'at least one sequence runs')
  assert(options.maxTokensPerStep >= options.maxSequences, 'every running sequence can decode in every step')
  assert(options.maxOutputsPerStep >= options.maxSequences, 'every running sequence can sample in every step')
  assert(options.maxPrefillTokensWithDecodes >= 1, 'prefill goes on while others decode')
  assert(options.maxPrefillTokensWithDecodes <= options.maxTokensPerStep, 'the prefill limit is a part of the token budget')
  assert(options.admissionWatermarkBlocks >= 0 && options.maxWaitingRequests >= 1, 'limits are not negative')
  assert(options.priorityAgingSteps >= 1, 'ageing needs a step count')
}

/** The bounds that the executor must be bound with (BindOptions.limits). */
export function stepLimits(options: EngineCoreOptions): StepLimits {
  return { maxTokens: options.maxTokensPerStep, maxSequences: options.maxSequences, maxOutputs: options.maxOutputsPerStep }
}

/** A snapshot; counters only grow. */
export interface EngineCoreStats {
  readonly numWaiting: number
  readonly numRunning: number
  readonly numSteps: number
  readonly numPreemptions: number
  /** Prompt tokens of admitted requests. */
  readonly promptTokens: number
  readonly cachedPromptTokens: number
  /** Tokens, sampled or forced, that were delivered or ended a choice. */
  readonly completionTokens: number
  /** Of completionTokens, those that a guide appended without sampling. */
  readonly numForcedTokens: number
  /** Tokens computed, recomputation after preemption included. */
  readonly computedTokens: number
  readonly numCopiedBlocks: number
  readonly numBlocks: number
  /** Blocks that no sequence holds (they may still serve prefix hits). */
  readonly numFreeBlocks: number
  /** Blocks that a prefix hit could use. */
  readonly numCachedBlocks: number
  /** Sums over all steps: the whole turn, and the executor's part of it. */
  readonly stepMsSum: number
  readonly executorMsSum: number
  readonly stepMsMax: number
  /** Rows that were sampled under a guide's mask, and the time that filling the masks took. The executor computes meanwhile. */
  readonly numMasks: number
  readonly maskMsSum: number
  readonly numSinkFailures: number
  /** True after an executor failure or a bug: the core takes nothing any more. */
  readonly isBroken: boolean
}
