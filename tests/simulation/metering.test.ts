/** One record for each call, by one path: streamed, whole, failed, left and aborted; and a ledger that a failing store cannot empty. */
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { pricesSection } from '#config/platform-file/prices'
import { newCallReport, type OnlineEmbedCall } from '#contract/call'
import { type ErrorCode, InferdError } from '#contract/errors'
import type { GenerateEvent } from '#contract/generate'
import type { UsageRecord } from '#contract/usage-record'
import { Ledger } from '#platform/metering/ledger'
import { type CallObserver, Metering } from '#platform/metering/metering'
import { meteredEmbedding, meteringStage } from '#platform/metering/metering-stage'
import { PriceTable } from '#platform/metering/price-table'
import { NO_SETTLEMENT, type SettledCall } from '#platform/metering/settlement'
import type { CallHandler } from '#platform/online/stage'
import type { LedgerEntry } from '#platform/store/usage-table'
import { ANSWER, callOf, type CallWords, readAll, replayed, USAGE, usageOf } from './online-call.ts'

const PRICES = new PriceTable(pricesSection.parse({ chat: { input: 1, cachedInput: 0.1, output: 2, perRequest: '0.001' } }))
const COST = 6n * 1_000_000n + 4n * 100_000n + 3n * 2_000_000n
const NEVER = new AbortController().signal

interface Bench {
  readonly clock: FakeClock
  readonly metering: Metering
  readonly records: UsageRecord[]
  readonly refusals: ErrorCode[]
  readonly settled: SettledCall[]
}

function bench({ hasRoom = true }: { readonly hasRoom?: boolean } = {}): Bench {
  const clock = new FakeClock()
  const records: UsageRecord[] = []
  const refusals: ErrorCode[] = []
  const settled: SettledCall[] = []
  const observer: CallObserver = { onCall: () => {}, onRefusal: (code) => refusals.push(code) }
  const metering = new Metering({
    prices: PRICES,
    ledger: { hasRoom, add: ({ record }) => records.push(record) },
    settlement: {
      settle: (_call, end) => {
        settled.push(end)
        return null
      },
    },
    observers: [observer],
    clock,
  })
  return { clock, metering, records, refusals, settled }
}

/** The answer with time passing before each event. */
function paced(clock: FakeClock, events: readonly GenerateEvent[], ms = 10): CallHandler {
  return async function* () {
    for (const event of events) {
      await Promise.resolve()
      void clock.advance(ms)
      yield event
    }
  }
}

function timeless({ ttftMs: _a, tpotMs: _b, durationMs: _c, wallMs: _d, billedMs: _e, ...rest }: UsageRecord): object {
  return rest
}

test('the record of a stream is that of a whole answer but for the times', async () => {
  const { clock, metering, records } = bench()
  for (const [isBuffered, ms] of [
    [true, 10],
    [false, 3],
  ] as const) {
    const call = callOf({ isBuffered })
    await readAll(meteringStage(metering)(paced(clock, ANSWER, ms))(call, NEVER))
    expect([call.report.usage, call.report.cost]).toEqual([USAGE, COST + 1_000_000_000n])
  }
  const [whole, streamed] = records as [UsageRecord, UsageRecord]
  expect([whole.streamed, streamed.streamed]).toEqual([false, true])
  expect(timeless({ ...streamed, streamed: false })).toEqual(timeless(whole))
  expect(whole).toMatchObject({
    inputTokens: 10,
    cachedTokens: 4,
    outputTokens: 3,
    price: 'chat',
    cost: COST + 1_000_000_000n,
    error: null,
    model: 'chat',
  })
  expect([whole.ttftMs, whole.tpotMs]).toEqual([20, 5])
})

test('events pass unchanged, and the price is in the report when the terminal event is seen', async () => {
  const { metering } = bench()
  const call = callOf()
  const seen: (bigint | null)[] = []
  for await (const event of meteringStage(metering)(() => replayed(ANSWER))(call, NEVER)) {
    if (event.type === 'response-end') seen.push(call.report.cost)
  }
  expect(seen).toEqual([COST + 1_000_000_000n])
  expect(await readAll(meteringStage(metering)(() => replayed(ANSWER))(callOf(), NEVER))).toEqual(ANSWER)
})

test('an answer that fails is charged its tokens but not its request, and has its code', async () => {
  const { metering, records } = bench()
  const failed: GenerateEvent = {
    type: 'response-error',
    error: { code: 'replica_lost', message: '', param: null, retryAfterMs: null },
    usage: USAGE,
  }
  await readAll(meteringStage(metering)(() => replayed([...ANSWER.slice(0, 3), failed]))(callOf(), NEVER))
  expect(records).toMatchObject([{ error: 'replica_lost', outputTokens: 3, cost: COST }])
})

test('what died without a last word is charged what was seen of it', async () => {
  const { metering, records } = bench()
  const handler: CallHandler = async function* () {
    yield* replayed(ANSWER.slice(0, 3))
    throw new InferdError('replica_lost', 'gone')
  }
  await expect(readAll(meteringStage(metering)(handler)(callOf(), NEVER))).rejects.toMatchObject({ code: 'replica_lost' })
  expect(records).toMatchObject([{ error: 'replica_lost', inputTokens: 10, cachedTokens: 4, outputTokens: 2 }])
})

test.each(['rate_limited', 'budget_exceeded', 'overloaded'] as const)(
  '%s before a model saw the call is counted and makes no record',
  async (code) => {
    const { metering, records, refusals, settled } = bench()
    const handler: CallHandler = () => {
      throw new InferdError(code, 'no')
    }
    await expect(readAll(meteringStage(metering)(handler)(callOf(), NEVER))).rejects.toMatchObject({ code })
    expect([records, refusals, settled.length]).toEqual([[], [code], 1])
  },
)

test('a reader that takes the terminal event and no more leaves what is behind the ledger too', async () => {
  const { metering, records } = bench()
  let hasLeft = false
  const handler: CallHandler = async function* () {
    try {
      yield* replayed(ANSWER)
    } finally {
      hasLeft = true
    }
  }
  for await (const { type } of meteringStage(metering)(handler)(callOf(), NEVER)) if (type === 'response-end') break
  await settle()
  expect(hasLeft).toBe(true)
  expect(records.length).toBe(1)
})

test('a reader who leaves an aborted stream: its exact usage comes with the last word, in the background', async () => {
  const { metering, records } = bench()
  const controller = new AbortController()
  const word = Promise.withResolvers<void>()
  const handler: CallHandler = async function* () {
    yield* replayed(ANSWER.slice(0, 2))
    await word.promise
    yield {
      type: 'response-error',
      error: { code: 'cancelled', message: '', param: null, retryAfterMs: null },
      usage: { ...USAGE, completionTokens: 17 },
    }
  }
  const call = callOf({ isBuffered: false })
  const events = meteringStage(metering)(handler)(call, controller.signal)
  for await (const event of events) if (event.type === 'text-delta') break
  expect(records).toMatchObject([{ error: 'cancelled', outputTokens: 1 }])
  records.length = 0
  const aborted = meteringStage(metering)(handler)(callOf(), controller.signal)
  for await (const event of aborted) {
    if (event.type !== 'text-delta') continue
    controller.abort(new InferdError('cancelled', 'the client closed the connection'))
    break
  }
  expect(records).toEqual([])
  word.resolve()
  await settle()
  expect(records).toMatchObject([{ error: 'cancelled', outputTokens: 17, inputTokens: 10 }])
})

test('an aborted stream that never says its last word is settled after a while', async () => {
  const { metering, records, clock, settled } = bench()
  const controller = new AbortController()
  const handler: CallHandler = async function* () {
    yield* replayed(ANSWER.slice(0, 2))
    await new Promise(() => {})
  }
  for await (const event of meteringStage(metering)(handler)(callOf(), controller.signal)) {
    if (event.type !== 'text-delta') continue
    controller.abort(new InferdError('deadline_exceeded', 'late'))
    break
  }
  await clock.advance(5001)
  expect(records).toMatchObject([{ error: 'deadline_exceeded', outputTokens: 1 }])
  expect(settled.length).toBe(1)
})

function embedCallOf(): OnlineEmbedCall {
  const { request: _request, operation: _operation, isBuffered: _isBuffered, ...caller } = callOf()
  return { ...caller, operation: 'embeddings', request: { requestId: 'r', inputs: [], priority: 0, cacheSalt: '' } }
}

test('embeddings are settled as everything else', async () => {
  const { metering, records, settled } = bench()
  const call = embedCallOf()
  const usage = { promptTokens: 10, cachedTokens: 4, completionTokens: 0 }
  await meteredEmbedding(metering, async () => ({ vectors: [], usage }))(call, NEVER)
  expect(records).toMatchObject([{ operation: 'embeddings', inputTokens: 10, streamed: false, cost: 6_400_000n + 1_000_000_000n }])
  const failing = meteredEmbedding(metering, async () => Promise.reject(new InferdError('replica_lost', 'gone')))
  await expect(failing({ ...call, report: newCallReport() }, NEVER)).rejects.toMatchObject({ code: 'replica_lost' })
  expect([records.length, settled.length]).toEqual([2, 2])
})

test('what a call waits before its model takes it up is not billed: in the line, or while the model wakes', async () => {
  const { metering, records, clock } = bench()
  const usage = { promptTokens: 10, cachedTokens: 0, completionTokens: 0 }
  const embed = meteredEmbedding(metering, async ({ onStart }) => {
    await clock.advance(9000)
    onStart?.()
    await clock.advance(40)
    return { vectors: [], usage }
  })
  await embed(embedCallOf(), NEVER)
  const woken: CallHandler = async function* () {
    await clock.advance(9000)
    for (const event of ANSWER) {
      yield event
      await clock.advance(10)
    }
  }
  await readAll(meteringStage(metering)(woken)(callOf(), NEVER))
  expect(records.map(({ billedMs, durationMs }) => [billedMs, durationMs > 9000])).toEqual([
    [40, true],
    [10 * (ANSWER.length - 1), true],
  ])
})

test('no call begins whose record could not be kept', async () => {
  const { metering, settled, refusals, records } = bench({ hasRoom: false })
  await expect(readAll(meteringStage(metering)(() => replayed(ANSWER))(callOf(), NEVER))).rejects.toMatchObject({ code: 'store_failed' })
  const embed = meteredEmbedding(metering, () => Promise.reject(new Error('the model was asked')))
  await expect(embed(embedCallOf(), NEVER)).rejects.toMatchObject({ code: 'store_failed' })
  expect([settled.length, refusals, records]).toEqual([2, ['store_failed', 'store_failed'], []])
})

function ledgerOf(
  write: (entries: readonly LedgerEntry[], groupId: string) => Promise<void>,
  maxWaiting = 4,
): { readonly ledger: Ledger; readonly clock: FakeClock; readonly told: string[] } {
  const clock = new FakeClock()
  const told: string[] = []
  const log = {
    warn: (_fields: object, message: string) => void told.push(message),
    error: (_fields: object, message: string) => void told.push(message),
  }
  return { ledger: new Ledger({ write, clock, log, options: { groupMs: 50, maxGroup: 3, maxWaiting } }), clock, told }
}

function entryOf(words: CallWords): LedgerEntry {
  const { metering, records } = bench()
  metering.finish(callOf(words), { usage: USAGE, times: { firstPieceMs: null, lastPieceMs: null, startedMs: null }, error: null, busyMs: 0 })
  return { record: records[0]!, reservationId: null }
}

test('records are written in groups and in order', async () => {
  const groups: string[][] = []
  const { ledger, clock } = ledgerOf(async (entries) => void groups.push(entries.map(({ record }) => record.requestId)))
  for (const requestId of ['a', 'b', 'c', 'd']) ledger.add(entryOf({ requestId }))
  await settle()
  expect(groups).toEqual([])
  await clock.advance(50)
  await clock.advance(50)
  expect(groups).toEqual([['a', 'b', 'c'], ['d']])
  expect([ledger.numWaiting, ledger.lagMs]).toEqual([0, 0])
})

test('while the store fails nothing is lost, new calls are refused at the bound, and it catches up', async () => {
  let isDown = true
  const written: string[] = []
  const { ledger, clock, told } = ledgerOf(async (entries) => {
    if (isDown) throw new InferdError('store_failed', 'disk full')
    written.push(...entries.map(({ record }) => record.requestId))
  })
  for (const requestId of ['a', 'b', 'c']) ledger.add(entryOf({ requestId }))
  expect(ledger.hasRoom).toBe(true)
  ledger.add(entryOf({ requestId: 'd' }))
  await clock.advance(3000)
  expect([ledger.hasRoom, ledger.numWaiting, written, told.length]).toEqual([false, 4, [], 1])
  expect(ledger.lagMs).toBe(3000)
  isDown = false
  await clock.advance(10_000)
  expect([ledger.hasRoom, written]).toEqual([true, ['a', 'b', 'c', 'd']])
})

test('a group that failed comes again as it was, whatever was added meanwhile, and is known by its id', async () => {
  const attempts: { readonly groupId: string; readonly ids: readonly string[] }[] = []
  const { ledger, clock } = ledgerOf(async (entries, groupId) => {
    attempts.push({ groupId, ids: entries.map(({ record }) => record.requestId) })
    if (attempts.length === 1) ledger.add(entryOf({ requestId: 'b' }))
    if (attempts.length < 3) throw new InferdError('store_failed', 'the connection broke')
  })
  ledger.add(entryOf({ requestId: 'a' }))
  await clock.advance(10_000)
  expect(attempts.map(({ ids }) => ids)).toEqual([['a'], ['a'], ['a'], ['b']])
  expect(new Set(attempts.slice(0, 3).map(({ groupId }) => groupId)).size).toBe(1)
  expect(attempts[3]!.groupId).not.toBe(attempts[0]!.groupId)
})

test('closing writes what is left at once, and tells what could not be written', async () => {
  const written: number[] = []
  const { ledger } = ledgerOf(async (entries) => void written.push(entries.length))
  ledger.add(entryOf({}))
  await ledger.close(1000)
  expect(written).toEqual([1])
  const failing = ledgerOf(() => Promise.reject(new InferdError('store_failed', 'gone')))
  failing.ledger.add(entryOf({}))
  const closed = failing.ledger.close(1000)
  await settle()
  await failing.clock.advance(1000)
  await closed
  expect(failing.told.at(-1)).toBe('usage records could not be written')
})

test('a flush waits for what was added before it, however much is added meanwhile', async () => {
  const { ledger, clock } = ledgerOf(async () => {
    ledger.add(entryOf({}))
    await clock.sleep(5)
  }, 1000)
  ledger.add(entryOf({}))
  let isFlushed = false
  void ledger.flush().then(() => {
    isFlushed = true
  })
  await settle()
  await clock.advance(20)
  expect([isFlushed, ledger.numWaiting > 0]).toEqual([true, true])
})

test('a settlement that holds nothing changes nothing', () => {
  expect(NO_SETTLEMENT.settle(callOf(), { cost: 1n, usage: usageOf(1), wasStarted: true })).toBe(null)
})
