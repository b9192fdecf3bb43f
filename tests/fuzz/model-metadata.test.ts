import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import type { GgufValue, ModelMetadata } from '#engine/models/architecture'
import { findArchitecture } from '#engine/models/registry'
import { optimize } from '#engine/program/optimize'
import { verifyWeights } from '#engine/program/verify'
import { openModelFiles } from '#engine/weights/model-files'
import type { TensorFile, TensorInfo } from '#engine/weights/tensor-file'

/**
 * Sound files with hostile words: the metadata and tensor shapes of one small checkpoint per architecture and format, mutated.
 * Reading the configuration and building the program either works or is refused with an InferdError; a failure prints its index.
 */
const SEED = 20261124
const NUM_MUTATIONS = 6_000
const SERVED_CONTEXT = 64

interface Base {
  readonly label: string
  readonly metadata: ModelMetadata
  readonly tensors: ReadonlyMap<string, TensorInfo>
}

const folder = fileURLToPath(new URL('../fixtures/architectures/', import.meta.url))
const bases: Base[] = []

beforeAll(async () => {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory() && !entry.name.endsWith('.gguf')) continue
    const model = await openModelFiles(join(folder, entry.name))
    bases.push({ label: entry.name, metadata: model.metadata, tensors: model.tensors.tensors })
    await model.tensors.close()
  }
})

const EXTREMES: readonly unknown[] = [
  0,
  -1,
  1,
  2,
  3,
  7,
  63,
  64,
  65,
  128,
  1000,
  65_536,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 53 - 1,
  0.5,
  1e-30,
  1e30,
  Number.NaN,
  Infinity,
  -0,
  2n ** 63n,
  '',
  '8',
  'none',
  true,
  false,
  null,
  [],
  [0],
  ['a'],
  [1, 2, 3],
  {},
  { type: 'yarn' },
  { rope_type: 'llama3', factor: 0 },
  { rope_type: 'longrope', short_factor: [1], long_factor: 'x' },
  new Int32Array(2),
  Float32Array.of(Number.NaN, 1),
  Uint32Array.of(4, 4, 0),
  ['full_attention', 'sliding_attention'],
  '__proto__',
  'constructor',
]

function mutateMetadata(metadata: ModelMetadata, random: SeededRandom): ModelMetadata {
  const pick = (): unknown => EXTREMES[random.nextInt(EXTREMES.length)]
  if (metadata.format === 'gguf') {
    const values = new Map(metadata.values)
    const keys = [...values.keys()].filter((key) => !key.startsWith('tokenizer.'))
    for (let i = random.nextInt(3); i >= 0; i--) {
      const key = keys[random.nextInt(keys.length)]!
      if (random.nextInt(5) === 0) values.delete(key)
      else values.set(key, pick() as GgufValue)
    }
    return { format: 'gguf', values }
  }
  const config: Record<string, unknown> = { ...metadata.config }
  const keys = Object.keys(config)
  for (let i = random.nextInt(3); i >= 0; i--) {
    const key = keys[random.nextInt(keys.length)]!
    if (random.nextInt(5) === 0) delete config[key]
    else config[key] = pick()
  }
  return { format: 'safetensors', config }
}

function mutateTensors(tensors: ReadonlyMap<string, TensorInfo>, random: SeededRandom): ReadonlyMap<string, TensorInfo> {
  const mutated = new Map(tensors)
  const names = [...tensors.keys()]
  const info = tensors.get(names[random.nextInt(names.length)]!)!
  switch (random.nextInt(5)) {
    case 0:
      mutated.delete(info.name)
      break
    case 1:
      mutated.set(info.name, { ...info, shape: info.shape.toReversed() })
      break
    case 2:
      mutated.set(info.name, { ...info, shape: [...info.shape, 1] })
      break
    case 3:
      mutated.set(info.name, { ...info, shape: info.shape.map((one) => one * 2) })
      break
    default:
      mutated.set(info.name, { ...info, dtype: 'q8_0' })
  }
  return mutated
}

function tensorFile(base: Base, tensors: ReadonlyMap<string, TensorInfo>): TensorFile {
  return {
    format: base.metadata.format,
    paths: [],
    tensors,
    readTensor: (info, range) => Promise.resolve(new Uint8Array(range?.byteLength ?? info.byteLength)),
    close: () => Promise.resolve(),
  }
}

async function buildProgram(metadata: ModelMetadata, tensors: TensorFile): Promise<void> {
  const architecture = findArchitecture(metadata)
  const config = await architecture.readConfig(metadata, tensors)
  const program = optimize(architecture.build(config, tensors, SERVED_CONTEXT))
  verifyWeights(program, tensors)
  expect(program.ops.length).toBeGreaterThan(0)
}

test(`${NUM_MUTATIONS} mutated configurations build a program or are refused by name`, async () => {
  expect(bases.length).toBeGreaterThan(10)
  let numBuilt = 0
  for (let index = 0; index < NUM_MUTATIONS; index++) {
    const random = new SeededRandom(SEED + index)
    const base = bases[index % bases.length]!
    const metadata = random.nextInt(4) === 0 ? base.metadata : mutateMetadata(base.metadata, random)
    const tensors = random.nextInt(4) === 0 ? mutateTensors(base.tensors, random) : base.tensors
    try {
      await buildProgram(metadata, tensorFile(base, tensors))
      numBuilt++
    } catch (error) {
      if (!(error instanceof InferdError)) throw new TypeError(`mutation ${index} of ${base.label}: ${String(error)}`, { cause: error })
    }
  }
  expect(numBuilt).toBeGreaterThan(NUM_MUTATIONS / 10)
  expect(numBuilt).toBeLessThan(NUM_MUTATIONS * 0.9)
})
