import { expect, test } from 'vitest'
import { formatBytes, ProgressBar } from './progress-bar.ts'

function terminal(isTTY: boolean) {
  const written: string[] = []
  return { isTTY, columns: 60, written, write: (text: string) => written.push(text) }
}

test('the bar is redrawn once per percent and cleared at the end', () => {
  const screen = terminal(true)
  const bar = new ProgressBar('loading', screen)
  for (let loaded = 0; loaded <= 1000; loaded++) bar.update(loaded, 1000)
  expect(screen.written.length).toBeLessThanOrEqual(102)
  expect(screen.written.at(-1)).toBe(`\rloading [${'#'.repeat(30)}] 100 % of 1000 B`)
  bar.end()
  expect(screen.written.at(-1)).toBe(`\r${' '.repeat(60)}\r`)
})

test('nothing is drawn where there is no terminal', () => {
  const screen = terminal(false)
  const bar = new ProgressBar('loading', screen)
  bar.update(5, 10)
  bar.end()
  expect(screen.written).toEqual([])
})

test('bytes are told in the unit that fits', () => {
  expect([0, 1023, 1536, 5 * 2 ** 30].map(formatBytes)).toEqual(['0 B', '1023 B', '1.5 KiB', '5.0 GiB'])
})
