/** Admission on a fake clock: limits, money that parallel calls cannot overspend, windows, and a model under ten times its load. */
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { admissionSection } from '#config/platform-file/admission'
import { pricesSection } from '#config/platform-file/prices'
import type { OnlineCall } from '#contract/call'
import { InferdError } from '#contract/errors'
import type { UsageRecord } from '#contract/usage-record'
import { Admission, type ModelTerms } from '#platform/admission/admission'
import { BudgetBook } from '#platform/admission/budget-book'
import { windowStart } from '#platform/admission/budget-window'
import { RateLimit } from '#platform/admission/rate-limit'
import { ReservationLog } from '#platform/admission/reservation-log'
import { PriceTable } from '#platform/metering/price-table'
import { openStore } from '#platform/store/open-store'
import { forgetReservations, insertEntries, insertReservations, sumOfCosts, takeOpenReservations } from '#platform/store/usage-table'
import { usageRecord } from '../stores/usage-record.ts'
import { callOf, type CallWords, usageOf } from './online-call.ts'

const TERMS: ModelTerms = {
  queueOf: (model) => model,
  candidates: (model) => [model],
  contextLength: () => 4096,
  maxSequences: () => 8,
}
/** One picodollar a prompt token, one dollar for 100 output tokens. */
const PRICES = new PriceTable(pricesSection.parse({ chat: { input: '0.000001', output: 10_000 } }))
const NEVER = new AbortController().signal

class WallClock extends FakeClock {
  offsetMs = 0
  override wallMs(): number {
    return super.wallMs() + this.offsetMs
  }
}

function admissionOf({
  clock = new WallClock(),
  config = {},
  spent = 0n,
  prices = PRICES,
  terms = TERMS,
}: { clock?: WallClock; config?: object; spent?: bigint; prices?: PriceTable; terms?: ModelTerms } = {}): {
  readonly admission: Admission
  readonly clock: WallClock
  readonly budgets: BudgetBook
} {
  const budgets = new BudgetBook({ spentSince: () => Promise.resolve(spent) })
  const admission = new Admission({
    config: admissionSection.parse(config),
    terms,
    prices,
    budgets,
    reservations: null,
    requestTimeoutMs: 600_000,
    clock,
    random: new SeededRandom(1),
  })
  return { admission, clock, budgets }
}

async function outcomeOf(admission: Admission, call: OnlineCall, signal = NEVER): Promise<string> {
  try {
    await admission.admit(call, signal)
    return 'admitted'
  } catch (error) {
    return error instanceof InferdError ? error.code : String(error)
  }
}

function count(outcomes: readonly string[], outcome: string): number {
  return outcomes.filter((each) => each === outcome).length
}

test('a model that may be given two choices at a time gets two and not a quarter more, and a herd before it is answered in its turn', async () => {
  const { admission, clock } = admissionOf({ terms: { ...TERMS, maxRunning: () => 2 } })
  const calls = Array.from({ length: 9 }, () => callOf())
  const outcomes = Promise.all(calls.map((call) => outcomeOf(admission, call)))
  for (let numEnded = 0; numEnded < calls.length; numEnded++) {
    await clock.advance(100)
    expect(admission.figures).toMatchObject([
      { numRunning: Math.min(2, calls.length - numEnded), numWaiting: Math.max(0, calls.length - numEnded - 2) },
    ])
    admission.settle(calls[numEnded]!, { cost: 0n, usage: usageOf(1), wasStarted: true })
  }
  expect(count(await outcomes, 'admitted')).toBe(calls.length)
})

test('of 100 parallel requests of 60 % of the budget exactly one is admitted, and what is settled never exceeds the budget', async () => {
  const { admission } = admissionOf()
  const calls = Array.from({ length: 100 }, () => callOf({ limits: { budgetUsd: 1 }, maxTokens: 60 }))
  const outcomes = await Promise.all(calls.map((call) => outcomeOf(admission, call)))
  expect([count(outcomes, 'admitted'), count(outcomes, 'budget_exceeded')]).toEqual([1, 99])
  const admitted = calls[outcomes.indexOf('admitted')]!
  admission.settle(admitted, { cost: 600_000_000_000n, usage: usageOf(60), wasStarted: true })
  expect(await outcomeOf(admission, callOf({ limits: { budgetUsd: 1 }, maxTokens: 60 }))).toBe('budget_exceeded')
  expect(await outcomeOf(admission, callOf({ limits: { budgetUsd: 1 }, maxTokens: 39 }))).toBe('admitted')
})

test('the budget of a team holds over all its keys, and a failed call gives its money back', async () => {
  const { admission } = admissionOf()
  const words = (keyId: string): CallWords => ({ team: 'red', keyId, teamLimits: { budgetUsd: 1 }, maxTokens: 60 })
  const first = callOf(words('a'))
  expect(await outcomeOf(admission, first)).toBe('admitted')
  expect(await outcomeOf(admission, callOf(words('b')))).toBe('budget_exceeded')
  admission.settle(first, { cost: 0n, usage: usageOf(0), wasStarted: false })
  expect(await outcomeOf(admission, callOf(words('b')))).toBe('admitted')
})

test('what was spent before this process counts', async () => {
  const { admission } = admissionOf({ spent: 500_000_000_000n })
  expect(await outcomeOf(admission, callOf({ limits: { budgetUsd: 1 }, maxTokens: 60 }))).toBe('budget_exceeded')
  expect(await outcomeOf(admission, callOf({ limits: { budgetUsd: 1 }, maxTokens: 40 }))).toBe('admitted')
})

test.each([
  ['day', '2026-03-01T23:59:59.999Z', '2026-03-01T00:00:00.000Z'],
  ['day', '2026-03-02T00:00:00.000Z', '2026-03-02T00:00:00.000Z'],
  ['month', '2024-02-29T12:00:00.000Z', '2024-02-01T00:00:00.000Z'],
  ['month', '2026-12-31T23:59:59.999Z', '2026-12-01T00:00:00.000Z'],
  ['total', '2026-12-31T23:59:59.999Z', '1970-01-01T00:00:00.000Z'],
] as const)('the %s of %s began at %s', (period, at, began) => {
  expect(new Date(windowStart(period, Date.parse(at))).toISOString()).toBe(began)
})

test('a new day has a new budget; a clock that goes back over midnight does not open it again', async () => {
  const { admission, clock } = admissionOf()
  const spend = async (): Promise<string> => {
    const call = callOf({ limits: { budgetUsd: 1, budgetPeriod: 'day' }, maxTokens: 90 })
    const outcome = await outcomeOf(admission, call)
    if (outcome === 'admitted') admission.settle(call, { cost: 900_000_000_000n, usage: usageOf(1), wasStarted: true })
    return outcome
  }
  expect([await spend(), await spend()]).toEqual(['admitted', 'budget_exceeded'])
  clock.offsetMs = 86_400_000
  expect([await spend(), await spend()]).toEqual(['admitted', 'budget_exceeded'])
  clock.offsetMs = 0
  expect(await spend()).toBe('budget_exceeded')
  clock.offsetMs = 86_400_000
  expect(await spend()).toBe('budget_exceeded')
})

test('a reservation of a killed server counts until it expires, and one whose record was written does not', async () => {
  const store = await openStore({ file: null })
  const reserve = new ReservationLog({ insert: (rows) => insertReservations(store.db, rows), forget: (ids) => forgetReservations(store.db, ids) })
  const clock = new WallClock()
  const base = { keyId: 'red-key', team: 'red', amount: 600_000_000_000n, expiresMs: clock.wallMs() + 1000 }
  await Promise.all([reserve.add({ ...base, id: 'lost' }), reserve.add({ ...base, id: 'settled' })])
  await insertEntries(store.db, [{ record: recordOf(clock.wallMs()), reservationId: 'settled' }], null)
  const open = await takeOpenReservations(store.db, clock.wallMs())
  expect(open.map(({ id }) => id)).toEqual(['lost'])
  const budgets = new BudgetBook({ spentSince: (subject, fromMs) => sumOfCosts(store.db, subject, fromMs) })
  budgets.adopt(open)
  const lines = budgets.linesOf(callOf({ limits: { budgetUsd: 1 } }).principal, clock.wallMs())
  await budgets.load(lines)
  expect(budgets.reserve(lines, 400_000_000_001n, clock.wallMs())).toBe(false)
  expect(budgets.reserve(lines, 399_999_000_000n, clock.wallMs())).toBe(true)
  expect(budgets.reserve(lines, 600_000_000_000n, clock.wallMs() + 1001)).toBe(true)
  expect(await takeOpenReservations(store.db, clock.wallMs() + 1001)).toEqual([])
  await store.close()
})

test('the reservation is in the store while the call runs, leaves with its record, and one that was refused a place leaves at once', async () => {
  const store = await openStore({ file: null })
  const clock = new WallClock()
  const admission = new Admission({
    config: admissionSection.parse({ capacity: { '*': { maxRunning: 1 } }, maxWaiting: 0 }),
    terms: TERMS,
    prices: PRICES,
    budgets: new BudgetBook({ spentSince: (subject, fromMs) => sumOfCosts(store.db, subject, fromMs) }),
    reservations: new ReservationLog({
      insert: (rows) => insertReservations(store.db, rows),
      forget: (ids) => forgetReservations(store.db, ids),
    }),
    requestTimeoutMs: 600_000,
    clock,
    random: new SeededRandom(1),
  })
  const amounts = async (): Promise<bigint[]> => (await takeOpenReservations(store.db, clock.wallMs())).map(({ amount }) => amount)
  const first = callOf({ limits: { budgetUsd: 1 }, maxTokens: 60 })
  expect(await outcomeOf(admission, first)).toBe('admitted')
  const [reserved] = await amounts()
  expect(reserved! >= 600_000_000_000n).toBe(true)
  expect(await outcomeOf(admission, callOf({ limits: { budgetUsd: 1 }, maxTokens: 30 }))).toBe('overloaded')
  await expect.poll(amounts).toEqual([reserved])
  const reservationId = admission.settle(first, { cost: 1_000_000n, usage: usageOf(5), wasStarted: true })
  await insertEntries(store.db, [{ record: recordOf(clock.wallMs()), reservationId }], null)
  expect(await amounts()).toEqual([])
  expect(await outcomeOf(admission, callOf({ limits: { budgetUsd: 1 }, maxTokens: 99 }))).toBe('admitted')
  await store.close()
})

test('a store that fails refuses calls with a budget, and holds nothing of theirs', async () => {
  const isDown = (): Promise<never> => Promise.reject(new InferdError('store_failed', 'disk full'))
  const admission = new Admission({
    config: admissionSection.parse({}),
    terms: TERMS,
    prices: PRICES,
    budgets: new BudgetBook({ spentSince: () => Promise.resolve(0n) }),
    reservations: new ReservationLog({ insert: isDown, forget: isDown }),
    requestTimeoutMs: 600_000,
    clock: new WallClock(),
    random: new SeededRandom(1),
  })
  const limits = { budgetUsd: 1, maxConcurrentRequests: 1 }
  for (let count = 0; count < 3; count++) expect(await outcomeOf(admission, callOf({ limits, maxTokens: 60 }))).toBe('store_failed')
  expect(admission.numHolds).toBe(0)
  expect(await outcomeOf(admission, callOf({ limits: { maxConcurrentRequests: 1 } }))).toBe('admitted')
})

test('rates hold on the monotonic clock: a wall clock that jumps gives nothing, a frozen one takes nothing', async () => {
  const { admission, clock } = admissionOf()
  const ask = (): Promise<string> => outcomeOf(admission, callOf({ limits: { requestsPerMinute: 3 } }))
  expect([await ask(), await ask(), await ask(), await ask()]).toEqual(['admitted', 'admitted', 'admitted', 'rate_limited'])
  clock.offsetMs = 7_200_000
  expect(await ask()).toBe('rate_limited')
  clock.offsetMs = -7_200_000
  await clock.advance(20_000)
  expect([await ask(), await ask()]).toEqual(['admitted', 'rate_limited'])
})

test('the time to come back is exact: there is room then and not before, and it is spread by at most a tenth', () => {
  const rate = new RateLimit(60)
  for (let taken = 0; taken < 60; taken++) rate.take(1, 5000)
  expect(rate.waitMs(1, 5000)).toBe(1000)
  expect(rate.waitMs(1, 5999)).toBe(1)
  expect(rate.waitMs(1, 6000)).toBe(0)
  expect(rate.waitMs(30, 6000)).toBe(29_000)
})

test('a call larger than a whole minute passes when nothing is owed, and is paid for before the next', () => {
  const rate = new RateLimit(100)
  expect(rate.waitMs(500, 0)).toBe(0)
  rate.take(500, 0)
  expect(rate.waitMs(1, 0)).toBeGreaterThan(239_000)
  rate.correct(-450, 0)
  expect(rate.waitMs(50, 0)).toBe(0)
})

test('calls at a time are bounded, and every end makes room', async () => {
  const { admission } = admissionOf()
  const [first, second, third] = [1, 2, 3].map(() => callOf({ limits: { maxConcurrentRequests: 2 } })) as [OnlineCall, OnlineCall, OnlineCall]
  expect([await outcomeOf(admission, first), await outcomeOf(admission, second)]).toEqual(['admitted', 'admitted'])
  expect(await outcomeOf(admission, third)).toBe('rate_limited')
  admission.settle(first, { cost: 0n, usage: usageOf(1), wasStarted: true })
  expect(await outcomeOf(admission, third)).toBe('admitted')
})

test('a caller who goes away while waiting leaves the line, and holds nothing', async () => {
  const { admission, clock } = admissionOf({ config: { capacity: { '*': { maxRunning: 1 } } } })
  const running = callOf()
  await admission.admit(running, NEVER)
  const controller = new AbortController()
  const waiting = outcomeOf(admission, callOf({ limits: { maxConcurrentRequests: 1 } }), controller.signal)
  await settle()
  expect(admission.figures[0]!.numWaiting).toBe(1)
  controller.abort(new InferdError('cancelled', 'gone'))
  expect(await waiting).toBe('cancelled')
  expect(admission.figures[0]!.numWaiting).toBe(0)
  admission.settle(running, { cost: 0n, usage: usageOf(1), wasStarted: true })
  expect(await outcomeOf(admission, callOf({ limits: { maxConcurrentRequests: 1 } }))).toBe('admitted')
  await clock.advance(1000)
  expect(clock.numSleepers).toBe(0)
})

function recordOf(wallMs: number): UsageRecord {
  return usageRecord({ wallMs, keyId: 'red-key', requestedModel: 'chat', model: 'chat', outputTokens: 1, price: 'chat', cost: 1_000_000n })
}
