import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { parseModelArgument, parseModelArguments } from './model-argument.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-model-argument-'))
const file = path.join(folder, 'tiny-Q4_0-00001-of-00002.gguf')
writeFileSync(file, '')

test('the name comes from the path without split numbers, or from the text before the equals sign', () => {
  expect(parseModelArgument(file, 'model')).toEqual({ name: 'tiny-Q4_0', path: file })
  expect(parseModelArgument(`chat=${file}`, 'model')).toEqual({ name: 'chat', path: file })
})

test('a missing path is an error that names it', () => {
  expect(() => parseModelArgument('chat=/nowhere/x.gguf', '--model')).toThrow('--model: there is no file or folder /nowhere/x.gguf')
})

test('two models of one name are refused before anything starts', () => {
  expect(parseModelArguments([file, `chat=${file}`])).toHaveLength(2)
  expect(() => parseModelArguments([file, file])).toThrow("--model: two models have the name 'tiny-Q4_0'; name them: --model NAME=PATH")
})
