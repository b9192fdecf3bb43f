import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { copyFile, mkdtemp, readdir, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dequantize } from '../dequantize.ts'
import { openGguf } from '../gguf/gguf-file.ts'
import { writeGguf, type TypedValue } from '../gguf/gguf-writer.ts'
import { quantizeModel } from './quantize-model.ts'
import { SCHEMES, type Scheme } from './tensor-scheme.ts'

interface Fixture {
  readonly schemes: Readonly<
    Record<Scheme, { readonly fields: Record<string, unknown>; readonly tensors: Record<string, { readonly type: string; readonly sha256: string }> }>
  >
}

const fixtureFolder = fileURLToPath(new URL('../../../../tests/fixtures/weights/', import.meta.url))
const { schemes } = JSON.parse(readFileSync(join(fixtureFolder, 'quantized.json'), 'utf8')) as Fixture
const sourcePath = join(fixtureFolder, 'source.gguf')

let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferd-quantize-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

async function writeSource(name: string, values: Float32Array, dtype: 'f32' | 'q8_0' = 'f32'): Promise<string> {
  const path = join(folder, name)
  const metadata = new Map<string, TypedValue>([['general.architecture', { type: 'string', value: 'llama' }]])
  const bytes = dtype === 'f32' ? new Uint8Array(values.buffer) : new Uint8Array((values.length / 32) * 34)
  await writeGguf(path, {
    metadata,
    tensors: [{ name: 'output.weight', dtype, shape: [values.length / 32, 32] }],
    writeData: (_, write) => write(bytes),
  })
  return path
}

test.each(SCHEMES)('a %s file is read by the public gguf package to the values that we read', async (scheme) => {
  const targetPath = join(folder, 'out.gguf')
  await quantizeModel({ sourcePath, targetPath, scheme })
  const model = await openGguf(targetPath)
  const seen: Record<string, { type: string; sha256: string }> = {}
  for (const info of model.tensors.tensors.values()) {
    const values = new Float32Array(info.shape.reduce((product, one) => product * one, 1))
    dequantize(info.dtype, await model.tensors.readTensor(info), values.length, values)
    seen[info.name] = { type: info.dtype, sha256: createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex') }
  }
  await model.tensors.close()
  expect(seen).toEqual(schemes[scheme].tensors)
})

test('metadata keeps its order, its values and its integer widths', async () => {
  const targetPath = join(folder, 'out.gguf')
  await quantizeModel({ sourcePath, targetPath, scheme: 'q4_0' })
  const [source, target] = [await openGguf(sourcePath), await openGguf(targetPath)]
  const carried = [...target.values].filter(([key]) => key !== 'general.quantization_version' && key !== 'general.file_type')
  expect(carried).toEqual([...source.values])
  expect(target.valueTypes.get('sample.u16')).toBe('uint16')
  expect(target.valueTypes.get('sample.i64')).toBe('int64')
  expect(target.values.get('general.file_type')).toBe(2)
  await source.tensors.close()
  await target.tensors.close()
})

/** Relative RMSE of the matrices in source.gguf (Student's t with 4 degrees of freedom: heavier tails than trained weights). */
test.each([
  ['f16', 0.0004],
  ['bf16', 0.002],
  ['q8_0', 0.009],
  ['q4_0', 0.145],
  ['q4_1', 0.105],
  ['q5_0', 0.067],
  ['q5_1', 0.055],
  ['q4_k_m', 0.11],
  ['q5_k_m', 0.055],
  ['q6_k', 0.03],
] as const)('%s keeps every tensor within its relative error', async (scheme, bound) => {
  const report = await quantizeModel({ sourcePath, targetPath: join(folder, 'out.gguf'), scheme })
  const worst = Math.max(...report.tensors.map((one) => one.relativeRmse))
  expect(worst).toBeLessThan(bound)
  expect(report.tensors.find((one) => one.name === 'blk.0.attn_norm.weight')).toMatchObject({ to: 'f32', rmse: 0 })
})

test('a source that is quantized already is refused, and nothing is left behind', async () => {
  const source = await writeSource('q8.gguf', new Float32Array(64), 'q8_0')
  await expect(quantizeModel({ sourcePath: source, targetPath: join(folder, 'out.gguf'), scheme: 'q4_0' })).rejects.toThrow(
    'output.weight is q8_0 already',
  )
  expect(await readdir(folder)).toEqual(['q8.gguf'])
})

test('weights that are not finite, or overflow the format, are refused by tensor, and nothing is left behind (74)', async () => {
  const notFinite = await writeSource('nan.gguf', new Float32Array(64).fill(Number.NaN))
  const large = await writeSource('large.gguf', new Float32Array(64).fill(1e30))
  const targetPath = join(folder, 'out.gguf')
  await expect(quantizeModel({ sourcePath: notFinite, targetPath, scheme: 'q8_0' })).rejects.toThrow(
    'tensor output.weight holds numbers that are not finite',
  )
  await expect(quantizeModel({ sourcePath: large, targetPath, scheme: 'q8_0' })).rejects.toThrow('too large for q8_0')
  expect((await readdir(folder)).toSorted()).toEqual(['large.gguf', 'nan.gguf'])
})

test('a folder with one GGUF is a source, a folder with safetensors is refused in plain words', async () => {
  await writeSource('m.gguf', new Float32Array(64).fill(1))
  const report = await quantizeModel({ sourcePath: folder, targetPath: join(folder, 'out.gguf'), scheme: 'q8_0' })
  expect(report.tensors.map((one) => [one.from, one.to])).toEqual([['f32', 'q8_0']])
  await rm(join(folder, 'm.gguf'))
  await rename(join(folder, 'out.gguf'), join(folder, 'model.safetensors'))
  await expect(quantizeModel({ sourcePath: folder, targetPath: join(folder, 'out.gguf'), scheme: 'q8_0' })).rejects.toThrow('only GGUF files')
})

test('an aborted quantization leaves no file', async () => {
  const controller = new AbortController()
  const running = quantizeModel({
    sourcePath,
    targetPath: join(folder, 'out.gguf'),
    scheme: 'q4_0',
    signal: controller.signal,
    onProgress: () => controller.abort(),
  })
  await expect(running).rejects.toThrow('aborted')
  expect(await readdir(folder)).toEqual([])
})

test('a target that is a folder, a link, the source or in no folder is refused before anything is written', async () => {
  const source = join(folder, 'source.gguf')
  await copyFile(sourcePath, source)
  await symlink(source, join(folder, 'link.gguf'))
  const quantizeTo = (targetPath: string) => quantizeModel({ sourcePath: source, targetPath, scheme: 'q8_0' })
  await expect(quantizeTo(folder)).rejects.toMatchObject({ code: 'invalid_parameter', message: expect.stringContaining('not a plain file') })
  await expect(quantizeTo(join(folder, 'link.gguf'))).rejects.toMatchObject({ message: expect.stringContaining('not a plain file') })
  await expect(quantizeTo(source)).rejects.toMatchObject({ message: expect.stringContaining('the target is the source') })
  await expect(quantizeTo(join(folder, 'none', 'out.gguf'))).rejects.toMatchObject({ message: expect.stringContaining('folder does not exist') })
  expect((await readdir(folder)).toSorted()).toEqual(['link.gguf', 'source.gguf'])
})
