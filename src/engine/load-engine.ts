/**
 * From a path to a running engine: files, configuration, tokenizer, program, memory ledger, kernels, step loop. Everything is
 * checked before anything large is allocated.
 */
import { availableParallelism } from 'node:os'
import { systemClock, type Clock } from '#base/clock'
import { stepLimits } from './engine-core-options.ts'
import { EngineCore } from './engine-core.ts'
import type { Engine, EngineOptions, EnginePlan } from './engine.ts'
import { createReferenceVocabulary } from './grammar/reference-matcher.ts'
import type { Executor, Kernels } from './kernels/kernels.ts'
import { kvRowBytes } from './kernels/kv-dtype.ts'
import { createNativeKernels } from './kernels/native/native-kernels.ts'
import { createNativeVocabulary } from './kernels/native/native-vocabulary.ts'
import { referenceKernels } from './kernels/reference/reference-kernels.ts'
import { kvBytesPerToken } from './kv-cache/memory-plan.ts'
import { LocalEngine } from './local-engine.ts'
import { prepareModel } from './prepare-model.ts'
import { planMemory } from './program/memory-plan.ts'
import type { Program } from './program/program.ts'
import { PromptEncoder } from './prompt-encoder.ts'
import { GrammarLibrary } from './structured-output/grammar-library.ts'
import type { Tokenizer } from './tokenizers/tokenizer.ts'
import { openModelFiles, type ModelFiles } from './weights/model-files.ts'

/** Kernels lay matrices out in panels of rows, and formats with shared scales a little wider than the file does. */
const WEIGHT_LAYOUT_FACTOR = 1.05
/** Of each thread that computes, beside what grows with the vocabulary. */
const THREAD_SCRATCH_BYTES = 1 << 20
const SAMPLING_BYTES_PER_TOKEN = 16
/** kAttentionSpan of the kernels. */
const ATTENTION_SPAN = 512
/** A model that just came up has callers waiting. */
const KEEP_AFTER_MS = 1000

export interface LoadHooks {
  readonly onProgress?: (loadedBytes: number, totalBytes: number) => void
  readonly clock?: Clock
  /** Aborting ends the load with the signal's reason. */
  readonly signal?: AbortSignal
  /** A bug in the guidance or delivery of one answer: that request ended with `internal`, the others go on. */
  readonly onSinkFailure?: (error: unknown) => void
  /** The step loop broke and every request got its error: this engine can only be replaced. */
  readonly onBroken?: (error: unknown) => void
  /** The packed weights could not be kept: the next start packs them again. */
  readonly onKeepFailure?: (error: unknown) => void
}

/** Throws InferdError for damaged files, unsupported models and missing memory; the message is for the operator. */
export async function loadEngine(options: EngineOptions, hooks: LoadHooks = {}): Promise<Engine> {
  const files = await openModelFiles(options.modelPath, hooks.signal)
  try {
    return await buildEngine(files, options, hooks)
  } finally {
    await files.tensors.close()
  }
}

/**
 * What `loadEngine` with these options would give and take, from headers alone. `freeBytes` bounds weights and KV cache, whose default size
 * follows from it: to get what was planned, load with the plan's `kvCacheBytes`. Throws as loadEngine.
 */
export async function planEngine(options: EngineOptions, freeBytes: number): Promise<EnginePlan> {
  const files = await openModelFiles(options.modelPath)
  try {
    const { facts, program, core } = await prepareModel(files, options, freeBytes)
    const numThreads = options.numThreads ?? availableParallelism()
    // The reference computes on f32 alone.
    const isWide = options.kernels === 'reference'
    const bytesPerToken = kvBytesPerToken({ ...program, rowBytes: kvRowBytes(isWide ? 'f32' : options.kvDType, program.headDim) })
    return {
      facts,
      memory: {
        weightsBytes: Math.ceil((isWide ? facts.parameters * Float32Array.BYTES_PER_ELEMENT : facts.weightsBytes) * WEIGHT_LAYOUT_FACTOR),
        kvCacheBytes: core.numBlocks * core.blockSize * bytesPerToken,
        activationBytes:
          planMemory(program, stepLimits(core)).arenaLength * Float32Array.BYTES_PER_ELEMENT +
          spanStateBytes(program, core.numBlocks * core.blockSize) +
          numThreads * (THREAD_SCRATCH_BYTES + program.vocabSize * SAMPLING_BYTES_PER_TOKEN),
      },
    }
  } finally {
    await files.tensors.close()
  }
}

/** Sums of the attention of one token over every 512 cached positions, for all its heads: what its threads hand to each other. */
function spanStateBytes(program: Program, numPositions: number): number {
  const numHeads = program.ops.reduce((max, op) => (op.kind === 'attention' ? Math.max(max, op.numHeads) : max), 0)
  return Math.ceil(numPositions / ATTENTION_SPAN) * numHeads * (Math.ceil(program.headDim / 16) * 16 + 32) * Float32Array.BYTES_PER_ELEMENT
}

async function buildEngine(files: ModelFiles, options: EngineOptions, hooks: LoadHooks): Promise<Engine> {
  // Knows the limits of a container, where the machine's free memory says nothing.
  const { facts, tokenizer, chatTemplate, program, core } = await prepareModel(files, options, process.availableMemory())
  const kernels: Kernels = options.kernels === 'native' ? createNativeKernels({ isa: options.isa }) : referenceKernels
  const executor = await kernels.bind({
    program,
    tensors: files.tensors,
    kvCache: { numBlocks: core.numBlocks, blockSize: core.blockSize, dtype: options.kvDType },
    limits: stepLimits(core),
    numThreads: options.numThreads,
    packedWeights:
      options.packedWeights === null ? null : { ...options.packedWeights, modelIdentity: files.identity, clock: hooks.clock ?? systemClock },
    ...(hooks.onProgress === undefined ? {} : { onProgress: hooks.onProgress }),
    ...(hooks.signal === undefined ? {} : { signal: hooks.signal }),
  })
  const makeVocabulary = options.kernels === 'native' ? createNativeVocabulary : createReferenceVocabulary
  const grammars = new GrammarLibrary({
    makeVocabulary: () => makeVocabulary(grammarTokens(tokenizer)),
    clock: hooks.clock ?? systemClock,
    maxJobs: options.maxWaitingRequests,
  })
  void grammars.warmLater()
  if (options.packedWeights !== null) void keepWeightsLater(executor, hooks)
  return new LocalEngine({
    facts,
    core: new EngineCore({
      executor,
      options: core,
      clock: hooks.clock ?? systemClock,
      ...(hooks.onBroken === undefined ? {} : { onBroken: hooks.onBroken }),
      ...(hooks.onSinkFailure === undefined ? {} : { onSinkFailure: hooks.onSinkFailure, onGuideFailure: hooks.onSinkFailure }),
    }),
    tokenizer,
    promptEncoder: new PromptEncoder({ tokenizer, chatTemplate, contextLength: core.contextLength }),
    memory: executor.memory,
    grammars,
  })
}

async function keepWeightsLater(executor: Executor, { clock = systemClock, signal, onKeepFailure }: LoadHooks): Promise<void> {
  try {
    await clock.sleep(KEEP_AFTER_MS, signal)
  } catch {
    // Closed before.
    return
  }
  await executor.keepWeights().catch((error: unknown) => onKeepFailure?.(error))
}

/** Bytes by token id. What ends a choice has none: no text of a grammar may hold it. */
function grammarTokens(tokenizer: Tokenizer): Uint8Array[] {
  const ends = new Set(tokenizer.eosTokenIds)
  return Array.from({ length: tokenizer.vocabSize }, (_, tokenId) => (ends.has(tokenId) ? new Uint8Array() : tokenizer.tokenBytes(tokenId)))
}
