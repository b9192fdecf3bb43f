/** The platform's file: read strictly, refused with the path of what is wrong. */
import { expect, test } from 'vitest'
import { EMPTY_PLATFORM_FILE, parsePlatformFile, readPlatformFile } from './platform-file.ts'

test('YAML and JSON say the same', () => {
  const yaml = parsePlatformFile('models:\n  - name: a\n    path: /m/a.gguf\n', 'f')
  expect(yaml).toEqual(parsePlatformFile('{"models":[{"name":"a","path":"/m/a.gguf"}]}', 'f'))
  expect(yaml.models[0]?.replicas).toBe(1)
  expect(parsePlatformFile('', 'f')).toEqual(EMPTY_PLATFORM_FILE)
})

test('what is wrong is named by its path', () => {
  expect(() => parsePlatformFile('models:\n  - name: a\n    path: p\n    replica: 2\n', 'f.yaml')).toThrow(/f\.yaml: models\[0\].*replica/)
  expect(() => parsePlatformFile('model: []', 'f.yaml')).toThrow(/model/)
  expect(() => parsePlatformFile('models: 3', 'f.yaml')).toThrow(/models: /)
  expect(() => parsePlatformFile('models: [{ name: a, path: p, minReplicas: 1 }]', 'f.yaml')).toThrow(/models\[0\]\.minReplicas: /)
  expect(() => parsePlatformFile('modelMemory: { budgetMib: 63 }', 'f.yaml')).toThrow(/modelMemory\.budgetMib: /)
  expect(() => parsePlatformFile('[1', 'f.yaml')).toThrow(/f\.yaml: /)
  expect(() => parsePlatformFile('models: []\nmodels: []', 'f.yaml')).toThrow(/unique/i)
  expect(() => readPlatformFile('/nowhere/f.yaml')).toThrow('cannot read /nowhere/f.yaml')
})

test('a document is no program: tags, prototype keys and bombs are refused or plain', () => {
  expect(() => parsePlatformFile('models: !!js/function "x"', 'f')).toThrow()
  expect(() => parsePlatformFile('__proto__: {polluted: 1}', 'f')).toThrow()
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((name, index) => `${name}: &${name} [${`*${'abcdefgh'[index]},`.repeat(9)}]`),
  ].join('\n')
  expect(() => parsePlatformFile(bomb, 'f')).toThrow(/f: /)
})
