import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { modelsOfFolder } from './model-folder.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-model-folder-'))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a folder has a model for each .gguf file and each folder with weights; later parts, other files and names that nobody can say are none', () => {
  const files = ['b.gguf', 'a.GGUF', 'notes.txt', 'a b.gguf', 'big-00001-of-00002.gguf', 'big-00002-of-00002.gguf', '.gguf']
  for (const name of files) writeFileSync(path.join(folder, name), '')
  for (const name of ['safe', 'empty']) mkdirSync(path.join(folder, name))
  writeFileSync(path.join(folder, 'safe', 'model.safetensors'), '')
  const found = modelsOfFolder(folder, 'shop/')
  expect(found.map(({ name, path: file }) => [name, path.relative(folder, file)])).toEqual([
    ['shop/a', 'a.GGUF'],
    ['shop/b', 'b.gguf'],
    ['shop/big', 'big-00001-of-00002.gguf'],
    ['shop/safe', 'safe'],
  ])
})

test('a folder that is not there is refused by its name', () => {
  expect(() => modelsOfFolder(path.join(folder, 'nowhere'), '')).toThrow(/modelFolders: .*nowhere cannot be read/)
})
