/**
 * All architectures, and the finding of the one that a model's metadata names.
 */
import { InferdError } from '#contract/errors'
import type { Architecture, ModelMetadata } from './architecture.ts'
import { gemma2 } from './gemma2.ts'
import { gemma3 } from './gemma3.ts'
import { llama } from './llama.ts'
import { phi3 } from './phi3.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'

const ARCHITECTURES: readonly Architecture[] = [llama, qwen2, qwen3, gemma2, gemma3, phi3]

/** Throws InferdError('unsupported_model') for a name that is not in the table, ('invalid_model_file') when there is no name. */
export function findArchitecture(metadata: ModelMetadata): Architecture {
  const key = metadata.format === 'gguf' ? 'general.architecture' : 'architectures'
  const name = metadata.format === 'gguf' ? metadata.values.get(key) : firstOf(metadata.config[key])
  if (typeof name !== 'string') throw new InferdError('invalid_model_file', `${metadata.format} model: ${key} does not name an architecture`)
  const namesOf = (architecture: Architecture) => (metadata.format === 'gguf' ? architecture.ggufNames : architecture.huggingFaceNames)
  const found = ARCHITECTURES.find((architecture) => namesOf(architecture).includes(name))
  if (found !== undefined) return found
  const supported = ARCHITECTURES.flatMap(namesOf).join(', ')
  throw new InferdError('unsupported_model', `architecture ${JSON.stringify(name.slice(0, 80))} is not supported; supported are ${supported}`)
}

function firstOf(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : undefined
}
