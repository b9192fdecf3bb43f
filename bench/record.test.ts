import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { keep, recordLine, recordOf, RECORDS_VARIABLE, recordText } from './record.ts'

const FIGURE = { suite: 'matmul', case: 'q4_0, 1 token', metric: 'multiply-adds', unit: 'GMAC/s' }

afterEach(() => {
  delete process.env[RECORDS_VARIABLE]
})

test('a record has the median of its rounds, their spread, and the share of what is possible', () => {
  expect(recordOf(FIGURE, [30, 10, 20], 40)).toEqual({ ...FIGURE, value: 20, spread: 3, limit: 40, shareOfLimit: 0.5 })
  expect(recordOf(FIGURE, [5])).toEqual({ ...FIGURE, value: 5, spread: 1 })
  expect(recordOf(FIGURE, [0, 0]).spread).toBe(1)
})

test('a line has every field, null where there is nothing', () => {
  expect(JSON.parse(recordLine(recordOf(FIGURE, [5])))).toEqual({
    ...FIGURE,
    value: 5,
    spread: 1,
    peer: null,
    peerValue: null,
    ratio: null,
    limit: null,
    shareOfLimit: null,
  })
})

test('words say what there is', () => {
  expect(recordText(recordOf(FIGURE, [5]))).toBe('multiply-adds: 5 GMAC/s')
  expect(recordText({ ...recordOf(FIGURE, [12_345.6, 10_000], 24_691.2), peer: 'other 1.0', peerValue: 6172.8, ratio: 2 })).toBe(
    'multiply-adds: 12346 GMAC/s; spread 1.235; other 1.0 6173, ratio 2; 50 % of 24691',
  )
})

test('records go to the file that was named, one a line, and nowhere without one', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-record-'))
  try {
    const file = path.join(folder, 'records.jsonl')
    keep(recordOf(FIGURE, [1]))
    process.env[RECORDS_VARIABLE] = file
    keep(recordOf(FIGURE, [2]))
    keep(recordOf(FIGURE, [3]))
    const values = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { value: number }).value)
    expect(values).toEqual([2, 3])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
