/** The ledger's rows on both stores: what was written is what is summed, exactly, and once. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ERRORS, type ErrorCode } from '#contract/errors'
import type { UsageRecord } from '#contract/usage-record'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { usageRecord } from '../../../tests/stores/usage-record.ts'
import { insertEntries, insertReservations, sumOfCosts, sumUsage, takeOpenReservations } from './usage-table.ts'

const ALL = { team: null, keyId: null, model: null, fromMs: null, toMs: null }
const WALL_MS = 1_764_547_200_000

const RECORD = usageRecord({ wallMs: WALL_MS, ttftMs: 1.5, durationMs: 12.25, billedMs: 3.5, cost: 1_000_001n })

/** Anything that a caller can put into a record, U+0000 and halves of code points too. */
const anyText = fc.string({ unit: 'binary', maxLength: 12 })
const anyTokens = fc.nat({ max: 2 ** 40 })
const anyMs = fc.option(fc.double({ min: 0, max: 1e9, noNaN: true }))
const anyRecord: fc.Arbitrary<UsageRecord> = fc.record({
  requestId: anyText,
  wallMs: fc.double({ min: 0, max: 4e12, noNaN: true }),
  keyId: fc.constantFrom('k1', 'k2'),
  team: fc.constantFrom('red', 'blue', 'Red'),
  dialect: fc.constant('openai'),
  operation: fc.constantFrom('chat', 'text_completion', 'embeddings', 'provisioned_throughput'),
  requestedModel: anyText,
  model: fc.option(fc.constantFrom('m1', 'm2', 'M2')),
  tier: fc.constantFrom('default', 'flex'),
  streamed: fc.boolean(),
  inputTokens: anyTokens,
  cachedTokens: anyTokens,
  cacheWriteTokens: anyTokens,
  outputTokens: anyTokens,
  reasoningTokens: anyTokens,
  responseCache: fc.constantFrom('none', 'exact', 'semantic'),
  ttftMs: anyMs,
  tpotMs: anyMs,
  queueMs: anyMs,
  durationMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
  billedMs: fc.nat({ max: 1e9 }),
  price: anyText,
  cost: fc.bigInt({ min: 0n, max: 10n ** 18n }),
  error: fc.option(fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[]))),
  metadata: fc.dictionary(anyText, anyText, { maxKeys: 3 }),
})

onEachStore(({ open }) => {
  test('whatever records come, totals are their exact sums, in the order of the groups, without one first', async () => {
    const { db } = await open()
    const written: UsageRecord[] = []
    await fc.assert(
      fc.asyncProperty(fc.array(anyRecord, { minLength: 1, maxLength: 20 }), async (records) => {
        await insertEntries(
          db,
          records.map((record) => ({ record, reservationId: null })),
          null,
        )
        written.push(...records)
        const totals = await sumUsage(db, ALL, { groupBy: ['model', 'team'], limit: 100 })
        const names = totals.map(({ group }) => `${group.model!} ${group.team!}`)
        expect(names).toEqual(names.toSorted((a, b) => (a < b ? -1 : 1)))
        for (const { group, ...total } of totals) {
          const own = written.filter(({ model, team }) => (model ?? '') === group.model && team === group.team)
          expect(total).toMatchObject({
            numRequests: own.filter(({ operation }) => operation !== 'provisioned_throughput').length,
            numErrors: own.filter(({ error }) => error !== null).length,
            inputTokens: own.reduce((sum, { inputTokens }) => sum + inputTokens, 0),
            billedMs: own.reduce((sum, { billedMs }) => sum + billedMs, 0),
            cost: own.reduce((sum, { cost }) => sum + cost, 0n),
          })
        }
      }),
      { numRuns: 40, seed: 11 },
    )
    const ofKey = written.filter(({ keyId }) => keyId === 'k1').reduce((sum, { cost }) => sum + cost, 0n)
    expect(await sumOfCosts(db, { keyId: 'k1' }, 0)).toBe(ofKey)
  })

  test('a thousand records are one transaction; a group that comes again, or twice at one moment, is written once', async () => {
    const { db } = await open()
    const entries = Array.from({ length: 1000 }, (_, index) => ({ record: RECORD, reservationId: `reservation-${index}` }))
    await insertReservations(
      db,
      entries.map(({ reservationId }) => ({ id: reservationId, keyId: 'k', team: 'red', amount: 10n ** 15n, expiresMs: WALL_MS })),
    )
    await Promise.all([insertEntries(db, entries, 'g'), insertEntries(db, entries, 'g')])
    await insertEntries(db, entries, 'g')
    const [total] = await sumUsage(db, ALL, { groupBy: ['day'], limit: 1 })
    expect(total).toMatchObject({ group: { day: '2025-12-01' }, numRequests: 1000, outputTokens: 2000, cost: 1_000_001_000n })
    expect(await takeOpenReservations(db, 0)).toEqual([])
  })

  test('what was reserved and not settled is found again, to the picodollar', async () => {
    const { db } = await open()
    const reservation = { id: 'a', keyId: 'k', team: 'red', amount: 123_456_789_012_345_678_901n, expiresMs: WALL_MS }
    await insertReservations(db, [reservation, { ...reservation, id: 'b', expiresMs: WALL_MS - 1 }])
    expect(await takeOpenReservations(db, WALL_MS - 1)).toEqual([reservation])
  })
})
