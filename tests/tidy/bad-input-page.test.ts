/** The page of bad inputs names every number of the study that concerns the online path, each with a test that exists. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { projectFiles, ROOT } from './source-tree.ts'

const NUMBERS = [...Array.from({ length: 65 }, (_, index) => index + 1), ...Array.from({ length: 20 }, (_, index) => index + 84)]
/** Those of jobs and stores come as they are proven. */
const FIRST_OF_JOBS = 104

test('every bad input of the online path is listed once, with a test that exists', () => {
  const page = readFileSync(path.join(ROOT, 'docs/reference/bad-input.md'), 'utf8')
  const rows = [...page.matchAll(/^\| (\d+) \|.*\| ([^|]+) \|$/gm)].map(([, number, files]) => ({
    number: Number(number),
    files: [...files!.matchAll(/`([^`]+)`/g)].map(([, file]) => file!),
  }))
  const isOfJobs = (number: number): boolean => number >= FIRST_OF_JOBS
  expect(rows.map(({ number }) => number).filter((number) => !isOfJobs(number))).toEqual(NUMBERS)
  const ofJobs = rows.map(({ number }) => number).filter(isOfJobs)
  expect(ofJobs).toEqual([...new Set(ofJobs)].toSorted((a, b) => a - b))
  expect(rows.filter(({ files }) => !files.some((file) => file.endsWith('.test.ts')))).toEqual([])
  expect(rows.flatMap(({ files }) => files).filter((file) => !existsSync(path.join(ROOT, file)))).toEqual([])
})

test('a test that carries a number in its name is in the row of that number', () => {
  const page = readFileSync(path.join(ROOT, 'docs/reference/bad-input.md'), 'utf8')
  const missing = projectFiles()
    .filter((file) => /^tests\/(conformance|e2e)\/.*\.test\.ts$/.test(file))
    .flatMap((file) => {
      const text = readFileSync(path.join(ROOT, file), 'utf8')
      const numbers = [...text.matchAll(/\btest(?:\.\w+\([^)]*\))?\('((?:\d+, )*\d+): /g)].flatMap(([, list]) => list!.split(', ').map(Number))
      const rowOf = (number: number): string => page.split('\n').find((line) => line.startsWith(`| ${number} |`)) ?? ''
      return [...new Set(numbers)]
        .filter((number) => (NUMBERS.includes(number) || number >= FIRST_OF_JOBS) && !rowOf(number).includes(file))
        .map((number) => `${number}: ${file}`)
    })
  expect(missing).toEqual([])
})
