/**
 * From a path to a running engine: files, configuration, tokenizer, program, memory ledger, kernels, step loop. Everything is
 * checked before anything large is allocated.
 */
import { systemClock, type Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { ModelFacts } from '#contract/generate'
import { ChatTemplate } from './chat-format/chat-template.ts'
import { engineCoreOptions, stepLimits, type EngineCoreOptions } from './engine-core-options.ts'
import { EngineCore } from './engine-core.ts'
import type { Engine, EngineOptions } from './engine.ts'
import { createReferenceVocabulary } from './grammar/reference-matcher.ts'
import type { Kernels } from './kernels/kernels.ts'
import { createNativeKernels } from './kernels/native/native-kernels.ts'
import { createNativeVocabulary } from './kernels/native/native-vocabulary.ts'
import { referenceKernels } from './kernels/reference/reference-kernels.ts'
import { kvBytesPerToken, planKvCache } from './kv-cache/memory-plan.ts'
import { LocalEngine } from './local-engine.ts'
import type { ModelConfig } from './models/architecture.ts'
import { findArchitecture } from './models/registry.ts'
import { optimize } from './program/optimize.ts'
import type { Program } from './program/program.ts'
import { PromptEncoder } from './prompt-encoder.ts'
import { GrammarLibrary } from './structured-output/grammar-library.ts'
import type { DType } from './tensor/dtype.ts'
import { loadTokenizerFromFolder, loadTokenizerFromGguf } from './tokenizers/load-tokenizer.ts'
import type { Tokenizer } from './tokenizers/tokenizer.ts'
import { openModelFiles, type ModelFiles } from './weights/model-files.ts'

/** Served context unless asked for more: keeps the default KV cache small on models made for 128 k. */
const DEFAULT_CONTEXT_LENGTH = 8192
/** Contexts that the default KV cache has room for, and its share of the free memory. */
const DEFAULT_KV_CONTEXTS = 8
const DEFAULT_KV_MEMORY_SHARE = 0.25

export interface LoadHooks {
  readonly onProgress?: (loadedBytes: number, totalBytes: number) => void
  readonly clock?: Clock
  /** Aborting ends the load with the signal's reason. */
  readonly signal?: AbortSignal
  /** A bug in the guidance or delivery of one answer: that request ended with `internal`, the others go on. */
  readonly onSinkFailure?: (error: unknown) => void
  /** The step loop broke and every request got its error: this engine can only be replaced. */
  readonly onBroken?: (error: unknown) => void
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

async function buildEngine(files: ModelFiles, options: EngineOptions, hooks: LoadHooks): Promise<Engine> {
  const architecture = findArchitecture(files.metadata)
  const config = await architecture.readConfig(files.metadata, files.tensors)
  const contextLength = servedContextLength(config, options)
  const tokenizer = loadTokenizer(files)
  const program = optimize(architecture.build(config, files.tensors, contextLength))
  checkVocabulary(tokenizer, program)
  const core = coreOptions({ files, options, config, contextLength, tokenizer, program })
  const kernels: Kernels = options.kernels === 'native' ? createNativeKernels({ isa: options.isa }) : referenceKernels
  const executor = await kernels.bind({
    program,
    tensors: files.tensors,
    kvCache: { numBlocks: core.numBlocks, blockSize: core.blockSize, dtype: options.kvDType },
    limits: stepLimits(core),
    numThreads: options.numThreads,
    ...(hooks.onProgress === undefined ? {} : { onProgress: hooks.onProgress }),
    ...(hooks.signal === undefined ? {} : { signal: hooks.signal }),
  })
  const chatTemplate = files.chatTemplate === null ? null : ChatTemplate.compile(files.chatTemplate)
  const makeVocabulary = options.kernels === 'native' ? createNativeVocabulary : createReferenceVocabulary
  const grammars = new GrammarLibrary({
    makeVocabulary: () => makeVocabulary(grammarTokens(tokenizer)),
    clock: hooks.clock ?? systemClock,
    maxJobs: options.maxWaitingRequests,
  })
  void grammars.warmLater()
  return new LocalEngine({
    facts: modelFacts({ files, config, contextLength, chatTemplate }),
    core: new EngineCore({
      executor,
      options: core,
      clock: hooks.clock ?? systemClock,
      ...(hooks.onBroken === undefined ? {} : { onBroken: hooks.onBroken }),
      ...(hooks.onSinkFailure === undefined ? {} : { onSinkFailure: hooks.onSinkFailure, onGuideFailure: hooks.onSinkFailure }),
    }),
    tokenizer,
    promptEncoder: new PromptEncoder({ tokenizer, chatTemplate, contextLength }),
    memory: executor.memory,
    grammars,
  })
}

/** Bytes by token id. What ends a choice has none: no text of a grammar may hold it. */
function grammarTokens(tokenizer: Tokenizer): Uint8Array[] {
  const ends = new Set(tokenizer.eosTokenIds)
  return Array.from({ length: tokenizer.vocabSize }, (_, tokenId) => (ends.has(tokenId) ? new Uint8Array() : tokenizer.tokenBytes(tokenId)))
}

function servedContextLength(config: ModelConfig, options: EngineOptions): number {
  const asked = options.contextLength
  if (asked !== null && asked > config.contextLength) {
    throw new InferdError('invalid_parameter', `--ctx ${asked} is longer than the model's context of ${config.contextLength} tokens`, {
      param: '--ctx',
    })
  }
  return asked ?? Math.min(config.contextLength, DEFAULT_CONTEXT_LENGTH)
}

function loadTokenizer(files: ModelFiles): Tokenizer {
  const source = files.tokenizerSource
  const extraEosTokenIds = eosTokenIdsOf(files.generationConfig)
  if (source.kind === 'gguf') return loadTokenizerFromGguf(source.values)
  return loadTokenizerFromFolder({ tokenizerJson: source.tokenizerJson, tokenizerConfig: source.tokenizerConfig, extraEosTokenIds })
}

/** generation_config.json may name more tokens that end a turn than the tokenizer does. */
function eosTokenIdsOf(generationConfig: Readonly<Record<string, unknown>> | null): number[] {
  const value = generationConfig?.['eos_token_id']
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  return list.filter((item) => typeof item === 'number')
}

function checkVocabulary(tokenizer: Tokenizer, program: Program): void {
  if (tokenizer.vocabSize <= program.vocabSize) return
  throw new InferdError('invalid_model_file', `the tokenizer has ${tokenizer.vocabSize} tokens, the embedding table only ${program.vocabSize} rows`)
}

interface CoreParts {
  readonly files: ModelFiles
  readonly options: EngineOptions
  readonly config: ModelConfig
  readonly contextLength: number
  readonly tokenizer: Tokenizer
  readonly program: Program
}

/** The memory ledger: weights first, then the KV cache takes what it may of the rest. */
function coreOptions({ files, options, config, contextLength, tokenizer, program }: CoreParts): EngineCoreOptions {
  // Knows the limits of a container, where the machine's free memory says nothing.
  const freeBytes = process.availableMemory()
  const weightsBytes = [...files.tensors.tensors.values()].reduce((sum, tensor) => sum + tensor.byteLength, 0)
  if (weightsBytes > freeBytes) {
    throw new InferdError('insufficient_memory', `the weights need ${weightsBytes} bytes, ${freeBytes} are free`)
  }
  const { blockSize, maxSequences } = options
  const plan = planKvCache({
    availableBytes: options.kvCacheBytes ?? (freeBytes - weightsBytes) * DEFAULT_KV_MEMORY_SHARE,
    blockSize,
    bytesPerToken: kvBytesPerToken({ ...program, bytesPerElement: options.kvDType === 'f32' ? 4 : 2 }),
    contextLength,
    maxSequences: options.kvCacheBytes === null ? Math.min(DEFAULT_KV_CONTEXTS, maxSequences) : maxSequences,
  })
  return engineCoreOptions({
    contextLength,
    numBlocks: plan.numBlocks,
    blockSize,
    maxSequences,
    maxTokensPerStep: Math.max(options.maxTokensPerStep, maxSequences),
    maxWaitingRequests: options.maxWaitingRequests,
    eosTokenIds: tokenizer.eosTokenIds,
    vocabSize: program.vocabSize,
    hiddenSize: config.hiddenSize,
    modelIdentity: files.identity,
  })
}

interface FactParts {
  readonly files: ModelFiles
  readonly config: ModelConfig
  readonly contextLength: number
  readonly chatTemplate: ChatTemplate | null
}

function modelFacts({ files, config, contextLength, chatTemplate }: FactParts): ModelFacts {
  const tensors = [...files.tensors.tensors.values()]
  const bytesByDType = new Map<DType, number>()
  for (const tensor of tensors) bytesByDType.set(tensor.dtype, (bytesByDType.get(tensor.dtype) ?? 0) + tensor.byteLength)
  return {
    architecture: config.architecture,
    parameters: tensors.reduce((sum, tensor) => sum + tensor.shape.reduce((product, size) => product * size, 1), 0),
    weightsBytes: tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0),
    quantization: [...bytesByDType].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'none',
    contextLength,
    vocabSize: config.vocabSize,
    hiddenSize: config.hiddenSize,
    hasChatTemplate: chatTemplate !== null,
    chatTemplateProblem: chatTemplate?.problem?.message ?? null,
  }
}
