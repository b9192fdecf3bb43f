/** Local models: what `--model NAME=PATH` says, with what flags have no room for. */
import { z } from 'zod'

const modelName = z.string().regex(/^[\w./:@-]{1,128}$/, 'letters, digits and . / : @ _ - only, at most 128')

export const modelsSection = z
  .array(
    z.strictObject({
      name: modelName.describe('What callers name.'),
      path: z.string().min(1).describe('A .gguf file, or a folder with safetensors.'),
      replicas: z.int().min(1).max(64).default(1).describe('Worker processes that serve it.'),
    }),
  )
  .max(1024)
  .default([])
  .describe('Models of this machine, beside those of --model.')

export type ModelEntry = z.infer<typeof modelsSection>[number]
