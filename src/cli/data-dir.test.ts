/** The data directory as it is found. */
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openDataDir } from './data-dir.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-data-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each([
  ['0777', 0o777, 0o775],
  ['1777', 0o1777, 0o1777],
  ['0755', 0o755, 0o755],
  ['0700', 0o700, 0o700],
])('a folder of mode %s that was there before is not left open to strangers who write', (_name, found, left) => {
  chmodSync(folder, found)
  expect(openDataDir(folder)).toBe(folder)
  expect(statSync(folder).mode & 0o7777).toBe(left)
})

test('a folder that is not there is made for its owner alone', () => {
  expect(statSync(openDataDir(path.join(folder, 'new', 'data'))).mode & 0o777).toBe(0o700)
})
