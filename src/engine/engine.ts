/**
 * The door of the engine: neutral requests in, neutral events out. One engine serves one model and owns its weights,
 * KV cache and step loop.
 */
import { assert } from '#base/assert'
import { BoundedQueue } from '#base/bounded-queue'
import type {
  ChatMessage,
  CountRequest,
  EmbedRequest,
  EmbedResult,
  GenerateEvent,
  GenerateRequest,
  ModelFacts,
  PromptInput,
  SamplingChange,
  Usage,
} from '#contract/generate'
import type { PackedWeightsPlace } from './kernels/kernels.ts'
import type { KvDType } from './kernels/kv-dtype.ts'

/** Far above what one request can emit: every event but a few carries a token. */
const MAX_QUEUED_EVENTS = 1 << 24

export interface Engine {
  readonly facts: ModelFacts
  /**
   * Queues one request and returns at once. `sink` gets its events, those of one step together, ending with exactly one terminal
   * event unless `abort` came first; after abort nothing more arrives there and the blocks are free within one step, and `onAborted` is
   * told once what was computed.
   * Throws InferdError for what can be refused now (context too long, queue full, no chat template).
   */
  start(request: GenerateRequest, sink: (event: GenerateEvent) => void, onAborted?: (usage: Usage) => void): RunningGeneration
  embed(request: EmbedRequest, signal: AbortSignal): Promise<EmbedResult>
  /** Tokens of the prompt, as a generation would count them. Throws like `start`. */
  countTokens(request: CountRequest): number
  /** Resolves after the step loop has turned once: proof of life for /readyz. */
  probe(signal: AbortSignal): Promise<void>
  stats(): EngineStats
  /** Ends every running request with `shutting_down`, then frees everything. */
  close(): Promise<void>
}

export interface RunningGeneration {
  abort(): void
  /** Samples otherwise from the next token on. After the end it does nothing. */
  adjust(change: SamplingChange): void
}

/** A snapshot; counters only grow. */
export interface EngineStats {
  readonly numWaiting: number
  readonly numRunning: number
  readonly numSteps: number
  readonly numPreemptions: number
  readonly promptTokens: number
  readonly cachedPromptTokens: number
  readonly completionTokens: number
  /** Of completionTokens, those that a grammar left no choice about: appended without being sampled. */
  readonly numForcedTokens: number
  /** Rows that were sampled under a mask, and the time that filling the masks took, while the kernels computed. */
  readonly numMasks: number
  readonly maskMsSum: number
  /** Compiled grammars that are kept, and how often one was there when it was asked for. */
  readonly numGrammars: number
  readonly grammarBytes: number
  readonly numGrammarHits: number
  readonly numGrammarMisses: number
  readonly numBlocks: number
  /** Blocks that no sequence holds (they may still serve prefix hits). */
  readonly numFreeBlocks: number
  readonly memory: EngineMemory
}

export interface EngineMemory {
  readonly weightsBytes: number
  readonly kvCacheBytes: number
  readonly activationBytes: number
}

/** What a model would be and would take, known from its headers. `memory` is never less than what the loaded engine says. */
export interface EnginePlan {
  readonly facts: ModelFacts
  readonly memory: EngineMemory
}

/** How to run a model. Plain data: it travels to the worker process. */
export interface EngineOptions {
  /** A .gguf file, or a folder with safetensors. */
  readonly modelPath: string
  readonly kernels: 'native' | 'reference'
  /** Instruction set of the native kernels; null = the best that the processor has. */
  readonly isa: 'scalar' | 'avx2' | 'avx512' | 'neon' | null
  /** Longest context of one request; null = the model's own, at most 8192. */
  readonly contextLength: number | null
  /** null = room for 8 full contexts, at most a quarter of the free memory. */
  readonly kvCacheBytes: number | null
  readonly kvDType: KvDType
  /** Where weights are kept as the kernels have them, for starts in a fraction of the time; null = nowhere. */
  readonly packedWeights: PackedWeightsPlace | null
  readonly blockSize: number
  readonly maxTokensPerStep: number
  readonly maxSequences: number
  readonly maxWaitingRequests: number
  /** null = one per core. */
  readonly numThreads: number | null
}

/** How much work a prompt is before it has been encoded: UTF-16 units of text, or tokens. */
export function promptLength(input: PromptInput): number {
  switch (input.kind) {
    case 'messages':
      return input.messages.reduce((sum, message) => sum + messageLength(message), 0)
    case 'text':
      return input.text.length
    case 'tokens':
      return input.tokenIds.length
  }
}

function messageLength(message: ChatMessage): number {
  const length = message.content.length + (message.name?.length ?? 0)
  if (message.role !== 'assistant') return length
  const calls = message.toolCalls ?? []
  return calls.reduce((sum, call) => sum + call.name.length + call.arguments.length, length + (message.reasoning?.length ?? 0))
}

/** The same for a whole request: what its prompt is made of, tools included. */
export function requestLength({ input, output }: Pick<GenerateRequest, 'input' | 'output'>): number {
  const tools = output.tools === null ? 0 : JSON.stringify(output.tools.definitions).length
  return promptLength(input) + tools
}

/** `Engine.start` as an iteration, for library use. Aborting or leaving the loop aborts the request. */
export async function* generate(engine: Engine, request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
  signal.throwIfAborted()
  const events = new BoundedQueue<GenerateEvent>({ maxItems: MAX_QUEUED_EVENTS })
  const handle = engine.start(request, (event) => {
    const taken = events.push(event)
    assert(taken, 'a consumer fell further behind than a whole context of events')
    if (event.type === 'response-end' || event.type === 'response-error') events.end()
  })
  const onAbort = (): void => {
    handle.abort()
    events.fail(signal.reason)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    yield* events
  } finally {
    signal.removeEventListener('abort', onAbort)
    handle.abort()
  }
}
