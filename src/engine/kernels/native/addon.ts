/**
 * The compiled addon, and the only file that loads it. It is loaded at the first use, not on import, so that tools which
 * never run a model need no compiler.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { InferdError } from '#contract/errors'
import type { Automaton } from '#engine/grammar/automaton'
import type { TokenMatcher } from '#engine/grammar/token-matcher'
import type { SamplingBatch, StepBatch, StepOutput } from '../kernels.ts'
import type { ExecutorConfig } from './lowered-program.ts'

/** Mirrors native/binding/addon.cpp. Methods throw Error for a broken contract; promises settle on the event loop. */
export interface NativeExecutorHandle {
  /** Packs file rows [rowStart, rowStart + numRows) of a matrix on all threads. `bytes` must not change until it resolves. */
  packRows(matrix: number, rowStart: number, numRows: number, bytes: Uint8Array): Promise<void>
  /** Converts float elements into a vector from element `start`, adding `offset`. */
  setVector(vector: number, format: number, start: number, bytes: Uint8Array, offset: number): void
  /**
   * Fills `output`. The arrays of all three must not change until it resolves, but for `sampling.masks`: with `sampling.fillMasks`
   * (which it does not call) rows that have a mask wait for openGate(), and the step does not end without it.
   */
  runStep(batch: StepBatch, sampling: SamplingBatch, output: StepOutput): Promise<void>
  /** The masks of the running step are filled. Does nothing when no step waits. */
  openGate(): void
  copyBlocks(pairs: Int32Array): void
  /** The weights' own memory, which lives as long as somebody holds it; null when it is a file that was mapped. Not to be written. */
  weights(): Uint8Array | null
  memory(): { readonly isa: IsaName; readonly weightsBytes: number; readonly kvCacheBytes: number; readonly activationBytes: number }
  close(): void
}

/** Mirrors native/binding/grammar_binding.cpp, as the two below. */
export interface NativeVocabularyHandle {
  readonly memoryBytes: number
}

/** Keeps its vocabulary. */
export interface NativeGrammarHandle {
  readonly memoryBytes: number
}

/** Keeps its grammar. Throws Error with code GRAMMAR_TOO_AMBIGUOUS (token-matcher.ts, MAX_CONFIGURATIONS). */
export interface NativeMatcherHandle extends TokenMatcher {
  readonly memoryBytes: number
}

/** Every instruction set that some build has kernels for: scalar on all machines, the others where dispatch.cpp finds them. */
export const INSTRUCTION_SETS = ['scalar', 'avx2', 'avx512', 'neon'] as const
export type IsaName = (typeof INSTRUCTION_SETS)[number]

interface Addon {
  /**
   * `packedPath` is a file with the weights as weights() gave them, or ''; one that does not fit is left alone, and weights() is not null then.
   * Throws RangeError, with need and have in its message, when more than availableBytes are needed or the system refuses;
   * Error with code THREADS_REFUSED when the system refuses threads.
   */
  readonly NativeExecutor: new (config: ExecutorConfig, isa: IsaName | '', availableBytes: number, packedPath: string) => NativeExecutorHandle
  /** Token t has bytes[starts[t]] up to bytes[starts[t + 1]]; i32 (vocabSize + 1). Throws RangeError for starts that do not ascend. */
  readonly NativeVocabulary: new (bytes: Uint8Array, starts: Int32Array) => NativeVocabularyHandle
  /** Throws RangeError for tables that contradict themselves or the vocabulary. */
  readonly NativeGrammar: new (vocabulary: NativeVocabularyHandle, automaton: Automaton, maxCacheBytes: number) => NativeGrammarHandle
  readonly NativeMatcher: new (grammar: NativeGrammarHandle) => NativeMatcherHandle
  /** '' asks for any. */
  isAvailable(isa: IsaName | ''): boolean
}

let loaded: Addon | null = null

/** Throws InferdError('internal') when the addon was not built. */
export function loadAddon(): Addon {
  if (loaded !== null) return loaded
  const path = fileURLToPath(new URL('../../../../native/build/Release/inferd_kernels.node', import.meta.url))
  try {
    // The addon's exports are written by us; their shape is the interface above.
    loaded = createRequire(import.meta.url)(path) as Addon
  } catch (cause) {
    throw new InferdError('internal', 'the native kernels are not built: run `npm run build`', { cause })
  }
  return loaded
}
