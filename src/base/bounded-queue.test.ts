import { expect, test, vi } from 'vitest'
import { BoundedQueue } from './bounded-queue.ts'

test('items arrive in order and the end follows the queued ones', async () => {
  const queue = new BoundedQueue<number>({ maxItems: 3 })
  expect([queue.push(1), queue.push(2), queue.push(3), queue.push(4)]).toEqual([true, true, true, false])
  queue.end()
  const seen: number[] = []
  for await (const item of queue) seen.push(item)
  expect(seen).toEqual([1, 2, 3])
})

test('a consumer that waits is woken by a push, an end or a failure', async () => {
  const queue = new BoundedQueue<number>({ maxItems: 1 })
  const first = queue.next()
  queue.push(7)
  expect(await first).toEqual({ value: 7, done: false })
  const second = queue.next()
  queue.fail(new RangeError('gone'))
  await expect(second).rejects.toThrow('gone')
  expect(await queue.next()).toEqual({ value: undefined, done: true })
})

test('a failure waits behind the queued items', async () => {
  const queue = new BoundedQueue<number>({ maxItems: 2 })
  queue.push(1)
  queue.fail(new RangeError('gone'))
  expect(await queue.next()).toEqual({ value: 1, done: false })
  await expect(queue.next()).rejects.toThrow('gone')
})

test('leaving the loop early tells the producer once and refuses later items', async () => {
  const onReturn = vi.fn()
  const queue = new BoundedQueue<number>({ maxItems: 2, onReturn })
  queue.push(1)
  for await (const item of queue) {
    expect(item).toBe(1)
    break
  }
  await queue.return()
  expect(onReturn).toHaveBeenCalledTimes(1)
  expect(queue.push(2)).toBe(false)
})

test('the bound counts what items are worth, and room comes back as they are taken', async () => {
  const queue = new BoundedQueue<string>({ maxItems: 4, countOf: (item) => item.length })
  expect([queue.push('abc'), queue.push('de'), queue.push('f'), queue.push('g')]).toEqual([true, false, true, false])
  expect(await queue.next()).toEqual({ value: 'abc', done: false })
  expect([queue.push('hij'), queue.push('k')]).toEqual([true, false])
  expect([await queue.next(), await queue.next()].map(({ value }) => value as string)).toEqual(['f', 'hij'])
  expect([queue.push('larger than the bound'), queue.push('x')]).toEqual([true, false])
})

test('taking moves no item of a long queue: none is copied more often than it was pushed', async () => {
  const numItems = 10_000
  let numMoved = 0
  const shift = vi.spyOn(Array.prototype, 'shift')
  const splice = vi.spyOn(Array.prototype, 'splice').mockImplementation(function (this: unknown[], start, count) {
    numMoved += this.length - Number(count)
    const rest = this.slice(Number(start) + Number(count))
    this.length = 0
    for (const item of rest) this.push(item)
    return []
  })
  const queue = new BoundedQueue<number>({ maxItems: numItems })
  const order: number[] = []
  try {
    for (let item = 0; item < numItems; item++) queue.push(item)
    for (let item = 0; item < numItems; item++) order.push((await queue.next()).value as number)
    expect(shift).not.toHaveBeenCalled()
  } finally {
    shift.mockRestore()
    splice.mockRestore()
  }
  expect(order).toEqual(order.map((_, index) => index))
  expect(numMoved).toBeLessThanOrEqual(numItems)
})
