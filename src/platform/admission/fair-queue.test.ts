import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FairQueue, type Waiting } from './fair-queue.ts'
import { RateLimit } from './rate-limit.ts'

const OPTIONS = { maxWaiting: 8, maxWaitingTokens: 100, ageingMs: 1000 }
const TIERS = ['priority', 'default', 'flex'] as const

function waiting(tenant: string, { tier = 'default', tokens = 10, arrivedMs = 0 }: Partial<Waiting> = {}): Waiting {
  return { tenant, tier, tokens, arrivedMs, expiresMs: arrivedMs + 10_000 }
}

/** Serves everybody in order and names them. */
function served(queue: FairQueue<Waiting>, nowMs = 0): string[] {
  const names: string[] = []
  for (let head = queue.peek(nowMs); head !== null; head = queue.peek(nowMs)) {
    queue.remove(head)
    queue.charge(head.tenant, head.tokens)
    names.push(head.tenant)
  }
  return names
}

test('tenants take turns by tokens, not by calls', () => {
  const queue = new FairQueue<Waiting>(OPTIONS)
  for (let count = 0; count < 4; count++) queue.push(waiting('small', { tokens: 5 }))
  for (let count = 0; count < 2; count++) queue.push(waiting('large', { tokens: 20 }))
  expect(served(queue)).toEqual(['small', 'large', 'small', 'small', 'small', 'large'])
})

test('a tenant that was away has saved nothing up', () => {
  const queue = new FairQueue<Waiting>(OPTIONS)
  for (let count = 0; count < 50; count++) queue.charge('busy', 10)
  for (let count = 0; count < 3; count++) {
    queue.push(waiting('busy'))
    queue.push(waiting('back'))
  }
  const order = served(queue)
  expect(order.slice(0, 4).filter((name) => name === 'busy').length).toBeGreaterThanOrEqual(1)
})

test('a long wait counts as a higher tier, so that flex does not starve', () => {
  const queue = new FairQueue<Waiting>(OPTIONS)
  queue.push(waiting('flex', { tier: 'flex', arrivedMs: 0 }))
  queue.push(waiting('first', { tier: 'priority', arrivedMs: 1500 }))
  expect(queue.peek(1500)?.tenant).toBe('first')
  expect(queue.peek(2000)?.tenant).toBe('flex')
})

test('in a full line the newest of a lower tier makes room, then the newest of the longest line, and nobody evicts itself', () => {
  const queue = new FairQueue<Waiting>({ ...OPTIONS, maxWaiting: 3 })
  const flex = waiting('red', { tier: 'flex' })
  const first = waiting('red')
  const second = waiting('red', { arrivedMs: 1 })
  for (const item of [flex, first, second]) queue.push(item)
  expect(queue.push(waiting('blue', { tier: 'priority' }))).toEqual({ kind: 'queued', evicted: [flex] })
  expect(queue.push(waiting('green'))).toEqual({ kind: 'queued', evicted: [second] })
  expect(queue.push(waiting('red'))).toEqual({ kind: 'full' })
})

test('whatever comes, goes, ages and is evicted: the counts are true, the bounds hold, and every call leaves once', () => {
  const step = fc.record({
    kind: fc.constantFrom('push', 'push', 'push', 'serve', 'remove', 'expire'),
    tenant: fc.constantFrom('a', 'b', 'c'),
    tier: fc.constantFrom(...TIERS),
    tokens: fc.integer({ min: 1, max: 150 }),
    pick: fc.nat({ max: 100 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const queue = new FairQueue<Waiting>(OPTIONS)
      const inside = new Set<Waiting>()
      steps.forEach(({ kind, tenant, tier, tokens, pick }, index) => {
        const nowMs = index * 400
        if (kind === 'push') {
          const item = waiting(tenant, { tier, tokens, arrivedMs: nowMs })
          const result = queue.push(item)
          if (result.kind === 'queued') inside.add(item)
          for (const evicted of result.kind === 'queued' ? result.evicted : []) expect(inside.delete(evicted)).toBe(true)
        } else if (kind === 'serve') {
          const head = queue.peek(nowMs)
          expect(head === null).toBe(inside.size === 0)
          if (head !== null) {
            expect([queue.remove(head), queue.remove(head), inside.delete(head)]).toEqual([true, false, true])
            queue.charge(head.tenant, head.tokens)
          }
        } else if (kind === 'remove') {
          const item = [...inside][pick % Math.max(1, inside.size)]
          if (item !== undefined) expect([queue.remove(item), inside.delete(item)]).toEqual([true, true])
        } else {
          for (const item of queue.takeExpired(nowMs)) expect([item.expiresMs <= nowMs, inside.delete(item)]).toEqual([true, true])
        }
        expect(queue.numWaiting).toBe(inside.size)
        queue.checkInvariants()
      })
    }),
    { seed: 12, numRuns: 300 },
  )
})

test('a rate is never exceeded: what was taken is at most a full minute and what has flowed since', () => {
  const ask = fc.record({ afterMs: fc.nat({ max: 30_000 }), units: fc.integer({ min: 1, max: 100 }) })
  fc.assert(
    fc.property(fc.array(ask, { maxLength: 100 }), (asks) => {
      const rate = new RateLimit(100)
      let nowMs = 0
      let taken = 0
      for (const { afterMs, units } of asks) {
        nowMs += afterMs
        const waitMs = rate.waitMs(units, nowMs)
        if (waitMs > 0) {
          expect(rate.waitMs(units, nowMs + waitMs + 1e-6)).toBe(0)
          continue
        }
        rate.take(units, nowMs)
        taken += units
        expect(taken).toBeLessThanOrEqual(100 + (nowMs * 100) / 60_000 + 1e-6)
      }
    }),
    { seed: 13, numRuns: 300 },
  )
})
