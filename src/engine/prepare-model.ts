/** All that a model's headers decide: tokenizer, program, limits and memory. Nothing large is allocated, no weight is read. */
import { InferdError } from '#contract/errors'
import type { ModelFacts } from '#contract/generate'
import { ChatTemplate } from './chat-format/chat-template.ts'
import { engineCoreOptions, type EngineCoreOptions } from './engine-core-options.ts'
import type { EngineOptions } from './engine.ts'
import { kvRowBytes } from './kernels/kv-dtype.ts'
import { kvBytesPerToken, planKvCache } from './kv-cache/memory-plan.ts'
import type { ModelConfig } from './models/architecture.ts'
import { findArchitecture } from './models/registry.ts'
import { optimize } from './program/optimize.ts'
import type { Program } from './program/program.ts'
import type { DType } from './tensor/dtype.ts'
import { loadTokenizerFromFolder, loadTokenizerFromGguf } from './tokenizers/load-tokenizer.ts'
import type { Tokenizer } from './tokenizers/tokenizer.ts'
import type { ModelFiles } from './weights/model-files.ts'

/** Served context unless asked for more: keeps the default KV cache small on models made for 128 k. */
const DEFAULT_CONTEXT_LENGTH = 8192
/** Contexts that the default KV cache has room for, and its share of the free memory. */
const DEFAULT_KV_CONTEXTS = 8
const DEFAULT_KV_MEMORY_SHARE = 0.25

export interface PreparedModel {
  readonly facts: ModelFacts
  readonly tokenizer: Tokenizer
  /** null = the model has none. */
  readonly chatTemplate: ChatTemplate | null
  readonly program: Program
  readonly core: EngineCoreOptions
}

/** `freeBytes`: what weights and KV cache may take. Throws InferdError for damaged files, unsupported models and missing memory. */
export async function prepareModel(files: ModelFiles, options: EngineOptions, freeBytes: number): Promise<PreparedModel> {
  const architecture = findArchitecture(files.metadata)
  const config = await architecture.readConfig(files.metadata, files.tensors)
  const contextLength = servedContextLength(config, options)
  const tokenizer = loadTokenizer(files)
  const program = optimize(architecture.build(config, files.tensors, contextLength))
  checkVocabulary(tokenizer, program)
  const core = coreOptions({ files, options, freeBytes, config, contextLength, tokenizer, program })
  const chatTemplate = files.chatTemplate === null ? null : ChatTemplate.compile(files.chatTemplate)
  return { facts: modelFacts({ files, config, contextLength, chatTemplate }), tokenizer, chatTemplate, program, core }
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
  readonly freeBytes: number
  readonly config: ModelConfig
  readonly contextLength: number
  readonly tokenizer: Tokenizer
  readonly program: Program
}

/** The memory ledger: weights first, then the KV cache takes what it may of the rest. */
function coreOptions({ files, options, freeBytes, config, contextLength, tokenizer, program }: CoreParts): EngineCoreOptions {
  const weightsBytes = [...files.tensors.tensors.values()].reduce((sum, tensor) => sum + tensor.byteLength, 0)
  if (weightsBytes > freeBytes) {
    throw new InferdError('insufficient_memory', `the weights need ${weightsBytes} bytes, ${freeBytes} are free`)
  }
  const { blockSize, maxSequences } = options
  const plan = planKvCache({
    availableBytes: options.kvCacheBytes ?? (freeBytes - weightsBytes) * DEFAULT_KV_MEMORY_SHARE,
    blockSize,
    bytesPerToken: kvBytesPerToken({ ...program, rowBytes: kvRowBytes(options.kvDType, program.headDim) }),
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
