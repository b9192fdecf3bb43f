import { expect, test } from 'vitest'
import { bestPeer, median, recordsBeside } from './beside.ts'
import type { Subject } from './subject.ts'

const unmeasured = (): never => {
  throw new Error('is not measured here')
}
const subject = (name: string): Subject => ({ name, version: '1', measureSpeed: unmeasured, measureLoad: unmeasured })
const metric = { suite: 'peers', case: 'made', metric: 'tokensPerS', unit: 'tokens/s' }
const ours = { subject: subject('inferd'), values: [30, 20, 40] }

test('a ratio is the median of the rounds, pair by pair, and a spread is ours', () => {
  const [record] = recordsBeside({ ...metric, limit: 60 }, [ours, { subject: subject('other'), values: [10, 20, 20] }])
  expect(record).toMatchObject({ value: 30, spread: 2, peer: 'other 1', peerValue: 20, ratio: 2, limit: 60, shareOfLimit: 0.5 })
})

test('without peers there is one record of ours alone', () => {
  expect(recordsBeside(metric, [ours])).toEqual([{ ...metric, value: 30, spread: 2 }])
  expect(bestPeer(recordsBeside(metric, [ours]))).toBe(null)
})

test('the best peer is the fastest one, by rate and by time', () => {
  const [slow, fast] = [
    { subject: subject('slow'), values: [10, 10, 10] },
    { subject: subject('fast'), values: [25, 25, 25] },
  ]
  expect(bestPeer(recordsBeside(metric, [ours, slow, fast]))?.peer).toBe('fast 1')
  expect(bestPeer(recordsBeside({ ...metric, unit: 's' }, [ours, slow, fast]))?.peer).toBe('slow 1')
})

test('the median of an even number is the upper one of the two in the middle', () => {
  expect(median([4, 1, 3, 2])).toBe(3)
})
