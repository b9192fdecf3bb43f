/** The native executor's front door: verifies, lowers, allocates once, maps the weights where they are kept packed or streams them in. */
import { availableParallelism } from 'node:os'
import { InferdError } from '#contract/errors'
import { verifyProgram, verifyWeights } from '#engine/program/verify'
import type { BindOptions, Executor, Kernels } from '../kernels.ts'
import { loadAddon, type IsaName, type NativeExecutorHandle } from './addon.ts'
import { loadWeights } from './load-weights.ts'
import { lowerProgram, type LoweredProgram } from './lower-program.ts'
import { NativeExecutor } from './native-executor.ts'
import { PackedWeights } from './packed-weights.ts'

interface NativeKernelsOptions {
  /** Forces an instruction set; null = the best that the machine has. */
  readonly isa?: IsaName | null
}

/** Whether this machine and this build can run an instruction set. */
export function hasInstructionSet(isa: IsaName): boolean {
  return loadAddon().isAvailable(isa)
}

export function createNativeKernels({ isa = null }: NativeKernelsOptions = {}): Kernels {
  return {
    name: 'native',
    async bind(options: BindOptions): Promise<Executor> {
      const { program, tensors, limits, packedWeights: place = null } = options
      verifyProgram(program)
      verifyWeights(program, tensors)
      const lowered = lowerProgram(options, options.numThreads ?? availableParallelism())
      const packed = place === null ? null : await PackedWeights.of(place, { program, lowered, paths: tensors.paths })
      const handle = allocate(lowered, isa, packed?.path ?? '')
      try {
        if (handle.weights() !== null) await loadWeights(handle, lowered, options)
      } catch (error) {
        handle.close()
        throw error
      }
      return new NativeExecutor({ handle, limits, vocabSize: program.vocabSize, hiddenSize: lowered.config.hiddenSize, packed })
    },
  }
}

export const nativeKernels: Kernels = createNativeKernels()

function allocate(lowered: LoweredProgram, isa: IsaName | null, packedPath: string): NativeExecutorHandle {
  const addon = loadAddon()
  if (isa !== null && !addon.isAvailable(isa)) throw new InferdError('unsupported_parameter', `this machine has no ${isa}`)
  try {
    return new addon.NativeExecutor(lowered.config, isa ?? '', process.availableMemory(), packedPath)
  } catch (cause) {
    if (cause instanceof RangeError) throw new InferdError('insufficient_memory', cause.message, { cause })
    if (cause instanceof Error && 'code' in cause && cause.code === 'THREADS_REFUSED') {
      throw new InferdError('invalid_parameter', cause.message, { param: '--threads', cause })
    }
    throw cause
  }
}
