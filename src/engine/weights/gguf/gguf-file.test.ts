import { readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gguf } from '@huggingface/gguf'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openModelFiles } from '../model-files.ts'
import { openGguf } from './gguf-file.ts'
import { TENSOR_TYPES } from './gguf-types.ts'
import { parseSplitName, splitPath } from './split-name.ts'

const sourcePath = fileURLToPath(new URL('../../../../tests/fixtures/weights/source.gguf', import.meta.url))
let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferd-gguf-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

test('a file of the Python writer reads as a second public reader reads it', async () => {
  const ours = await openGguf(sourcePath)
  const theirs = await gguf(sourcePath, { allowLocalFile: true })
  const tensors = [...ours.tensors.tensors.values()]
  expect(tensors.map((one) => [one.name, TENSOR_TYPES[one.dtype], one.shape.toReversed()])).toEqual(
    theirs.tensorInfos.map((one) => [one.name, one.dtype, one.shape.map(Number)]),
  )
  expect(tensors.map((one) => one.byteOffset)).toEqual(theirs.tensorInfos.map((one) => Number(theirs.tensorDataOffset) + Number(one.offset)))
  for (const [key, value] of ours.values) {
    const plain = typeof value === 'object' ? Array.from<unknown>(value) : value
    const other = (theirs.metadata as Record<string, unknown>)[key]
    expect([key, typeof other === 'bigint' ? Number(other) : other]).toEqual([key, plain])
  }
  await ours.tensors.close()
})

test('models that are refused leave no open file behind', async () => {
  const bytes = await readFile(sourcePath)
  const path = join(folder, 'cut.gguf')
  await writeFile(path, bytes.subarray(0, bytes.length - 4096))
  const numOpen = (): number => readdirSync('/dev/fd').length
  const before = numOpen()
  for (let i = 0; i < 20; i++) await expect(openModelFiles(path)).rejects.toThrow('end beyond the file')
  const model = await openModelFiles(sourcePath)
  await model.tensors.close()
  // A leak would show as twenty.
  expect(numOpen()).toBeLessThan(before + 10)
})

test('names of parts are told from other names', () => {
  expect(parseSplitName('/a/m-00002-of-00003.gguf')).toEqual({ stem: 'm', index: 1, count: 3 })
  for (const name of [
    'm.gguf',
    'm-2-of-3.gguf',
    'm-00000-of-00003.gguf',
    'm-00004-of-00003.gguf',
    '-00001-of-00003.gguf',
    'm-00001-of-00003.gguf.sha256',
  ]) {
    expect(parseSplitName(name)).toBeNull()
  }
  expect(splitPath('/a/m-00002-of-00003.gguf', { stem: 'm', index: 1, count: 3 }, 0)).toBe('/a/m-00001-of-00003.gguf')
})
