import { expect, test } from 'vitest'
import type { UsageRecord } from '#contract/usage-record'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { usageRecord } from '../../../tests/stores/usage-record.ts'
import { selectMinutes } from './usage-minutes.ts'
import { insertEntries } from './usage-table.ts'

const START_MS = 1_764_547_200_000
const ALL = { team: null, keyId: null, model: null, fromMs: null, toMs: null }

function recordOf(words: Partial<UsageRecord>): UsageRecord {
  return usageRecord({ inputTokens: 10, cachedTokens: 4, outputTokens: 5, reasoningTokens: 1, billedMs: 2.5, ...words })
}

onEachStore(({ open }) => {
  test('calls are summed by minute and model; shadows, unanswered ones and hours of units are left out', async () => {
    const { db } = await open()
    const records = [
      recordOf({}),
      recordOf({ wallMs: START_MS + 59_999, tier: 'flex' }),
      recordOf({ wallMs: START_MS + 60_000 }),
      recordOf({ model: 'other', team: 'blue' }),
      recordOf({ team: 'inferd-shadow' }),
      recordOf({ model: null }),
      recordOf({ operation: 'provisioned_throughput' }),
    ]
    await insertEntries(
      db,
      records.map((record) => ({ record, reservationId: null })),
      null,
    )
    const minute = START_MS / 60_000
    const usage = { promptTokens: 10, cachedTokens: 4, cacheWriteTokens: 0, completionTokens: 5, reasoningTokens: 1 }
    const both = { promptTokens: 20, cachedTokens: 8, cacheWriteTokens: 0, completionTokens: 10, reasoningTokens: 2 }
    expect(await selectMinutes(db, ALL, 10)).toEqual([
      { model: 'm', minute, numRequests: 2, usage: both, billedMs: 5, patientTokens: 15 },
      { model: 'other', minute, numRequests: 1, usage, billedMs: 2.5, patientTokens: 0 },
      { model: 'm', minute: minute + 1, numRequests: 1, usage, billedMs: 2.5, patientTokens: 0 },
    ])
    expect(await selectMinutes(db, { ...ALL, team: 'blue' }, 10)).toHaveLength(1)
    expect(await selectMinutes(db, { ...ALL, model: 'm', fromMs: START_MS + 60_000 }, 10)).toHaveLength(1)
    expect(await selectMinutes(db, ALL, 2)).toHaveLength(2)
  })
})
