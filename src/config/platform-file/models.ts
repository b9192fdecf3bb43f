/** Local models: what `--model NAME=PATH` says, with what flags have no room for. */
import { z } from 'zod'

const MAX_CONCURRENCY = 1_000_000
const MAX_IDLE_S = 30 * 86_400
const DEFAULT_IDLE_S = 300

const modelName = z.string().regex(/^[\w./:@-]{1,128}$/, 'letters, digits and . / : @ _ - only, at most 128')

const idleTimeoutS = z
  .number()
  .min(1)
  .max(MAX_IDLE_S)
  .default(DEFAULT_IDLE_S)
  .describe('A model on demand that has had no call for so long goes to sleep: its workers end and give their memory back.')

const maxConcurrency = z
  .int()
  .min(1)
  .max(MAX_CONCURRENCY)
  .optional()
  .describe('Choices that the model is given at a time; more wait as `admission` says. `admission.capacity` goes first.')

const kvCacheMib = z
  .int()
  .min(1)
  .max(16_777_216)
  .optional()
  .describe('Memory of the KV cache of each worker, MiB; as `--kv-cache-mib` when not given.')

export const modelsSection = z
  .array(
    z.strictObject({
      name: modelName.describe('What callers name.'),
      path: z.string().min(1).describe('A .gguf file, or a folder with safetensors.'),
      replicas: z.int().min(1).max(64).default(1).describe('Worker processes that serve it.'),
      minReplicas: z
        .literal(0)
        .optional()
        .describe('0: on demand. No worker runs until the first call, which is held meanwhile; the workers end after `idleTimeoutS`.'),
      idleTimeoutS,
      pin: z.boolean().default(false).describe('On demand, but once it is up it never sleeps and never makes room for another model.'),
      maxConcurrency,
      kvCacheMib,
    }),
  )
  .max(1024)
  .default([])
  .describe('Models of this machine, beside those of --model.')

export type ModelEntry = z.infer<typeof modelsSection>[number]

export const modelFoldersSection = z
  .array(
    z.strictObject({
      path: z.string().min(1).describe('A folder: each .gguf file in it, and each folder in it that holds a model, is a model on demand.'),
      prefix: z
        .string()
        .regex(/^[\w./:@-]{0,64}$/, 'letters, digits and . / : @ _ - only, at most 64')
        .default('')
        .describe('Stands before the names, which are those of the files without `.gguf`.'),
      idleTimeoutS,
      maxConcurrency,
      kvCacheMib,
    }),
  )
  .max(64)
  .default([])
  .describe('Many models under one memory: registered by the thousand, read when somebody calls them. The folders are listed once, at the start.')

export type ModelFolderEntry = z.infer<typeof modelFoldersSection>[number]

export const modelMemorySection = z
  .strictObject({
    budgetMib: z
      .int()
      .min(64)
      .max(16_777_216)
      .optional()
      .describe(
        'What all local models may take together, MiB, those of --model too. Idle ones make room, least recently used first. No bound when not given.',
      ),
    holdS: z.number().min(1).max(3600).default(60).describe('How long a call of a model that is not up is held at most, in seconds.'),
    maxHeldCalls: z.int().min(1).max(1_000_000).default(1024).describe('Calls that one model may hold; one more is refused as overloaded.'),
    spareWorkers: z
      .int()
      .min(0)
      .max(16)
      .default(0)
      .describe('Worker processes that are kept up without a model, so that one that wakes has only to be loaded; each takes 96 MiB of the budget.'),
    fairWaitS: z
      .number()
      .min(0)
      .max(3600)
      .default(2)
      .describe('Callers of a model without room wait so long before busy models are drained for it: these finish what runs, and hold new calls.'),
  })
  .prefault({})
  .describe('The memory that local models share, and the calls that wait for it.')

export type ModelMemoryConfig = z.infer<typeof modelMemorySection>
