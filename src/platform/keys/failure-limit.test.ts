/** Who fails too often waits, and waits no longer than a minute: an address may be that of a whole company. */
import { expect, test } from 'vitest'
import { FailureLimit } from './failure-limit.ts'

test('a million failures at once cost an address a minute, not eleven days', () => {
  const limit = new FailureLimit()
  for (let count = 0; count < 1_000_000; count++) limit.note('192.0.2.1', 0)
  expect(limit.waitMs('192.0.2.1', 0)).toBeGreaterThan(0)
  expect(limit.waitMs('192.0.2.1', 0)).toBeLessThanOrEqual(61_000)
  expect(limit.waitMs('192.0.2.1', 61_000)).toBe(0)
  expect(limit.waitMs('192.0.2.2', 0)).toBe(0)
})
