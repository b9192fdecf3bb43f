/** Which units are compared, over both stores. */
import { beforeEach, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import type { Comparison, ComparisonQuery } from '#contract/comparison'
import type { Endpoint } from '#contract/deployment'
import type { UsageRecord } from '#contract/usage-record'
import { insertEntries } from '#platform/store/usage-table'
import type { Store } from '#platform/store/open-store'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { usageRecord } from '../../../tests/stores/usage-record.ts'
import { comparisonDesk } from './comparison-desk.ts'

const VARIANT = { model: 'm', desiredWeight: 1, currentReplicas: 1, desiredReplicas: 1, serverless: null } as const
const QUERY: ComparisonQuery = { endpoint: 'chat', baseline: null, fromMs: null, toMs: null }
const clock = new FakeClock()
let store: Store
let numRecords = 0

function recordOf(unit: string, words: Partial<UsageRecord> = {}): UsageRecord {
  numRecords++
  return usageRecord({
    wallMs: clock.wallMs() - 1000,
    requestedModel: 'chat',
    model: unit,
    outputTokens: 5 + (numRecords % 3),
    ttftMs: 50 + (numRecords % 7),
    tpotMs: 5,
    durationMs: 100,
    cost: 1_000_000n,
    ...words,
  })
}

async function write(count: number, unit: string, words: Partial<UsageRecord> = {}): Promise<void> {
  const entries = Array.from({ length: count }, () => ({ record: recordOf(unit, words), reservationId: null }))
  await insertEntries(store.db, entries, null)
}

function compare(words: Partial<ComparisonQuery> = {}, weights: Readonly<Record<string, number>> = { main: 9, trial: 1 }): Promise<Comparison> {
  const variants = Object.entries(weights).map(([name, currentWeight]) => ({
    ...VARIANT,
    name,
    unit: name,
    currentWeight,
    isShadow: name === 'shadow',
  }))
  const findEndpoint = async (name: string): Promise<Endpoint | null> => (name === 'chat' ? ({ name, variants } as unknown as Endpoint) : null)
  return comparisonDesk({ store, deployments: { findEndpoint }, flush: async () => {}, clock }).compare({ ...QUERY, ...words })
}

const names = ({ baseline, comparisons }: Comparison): readonly string[] => [baseline.name, ...comparisons.map(({ candidate }) => candidate.name)]

onEachStore(({ open }) => {
  beforeEach(async () => {
    store = await open()
    await store.db.deleteFrom('usage').execute()
  })

  test('the variants of the newest generation are compared with the heaviest of them, shadows too', async () => {
    await write(40, 'chat/main@2')
    await write(40, 'chat/trial@2', { ttftMs: 500 })
    await write(40, 'chat/shadow@2', { team: 'inferd-shadow', cost: 0n })
    await write(40, 'chat/main@1')
    const found = await compare({}, { main: 9, trial: 1, shadow: 100 })
    expect(names(found)).toEqual(['main@2', 'shadow@2', 'trial@2'])
    expect(found.comparisons.map(({ candidate }) => candidate.isShadow)).toEqual([true, false])
    expect(found.comparisons[1]!.metrics[0]).toMatchObject({ metric: 'ttft', verdict: 'worse' })
    expect(found.comparisons[0]!.metrics.find(({ metric }) => metric === 'cost')).toMatchObject({ candidate: null })
    expect(found.numVerdicts).toBe(14)
  })

  test('one variant is compared with the generation before it', async () => {
    for (const generation of [1, 2, 3]) await write(40, `chat/main@${generation}`)
    expect(names(await compare({}, { main: 1 }))).toEqual(['main@2', 'main@3'])
    expect(names(await compare({ baseline: 'main@1' }, { main: 1 }))).toEqual(['main@1', 'main@2', 'main@3'])
  })

  test('who named a variant, another endpoint and another time are no part of it', async () => {
    await write(40, 'chat/main@1')
    await write(40, 'chat/trial@1', { error: 'replica_lost', ttftMs: null })
    await write(40, 'chat/trial@1', { requestedModel: 'chat/trial' })
    await write(40, 'chat2/main@1', { requestedModel: 'chat2' })
    await write(40, 'chat/trial@1', { wallMs: clock.wallMs() - 2 * 86_400_000 })
    const { baseline, comparisons } = await compare()
    expect(baseline).toEqual({ name: 'main@1', isShadow: false, numCalls: 40, numErrors: 0, numSampled: 40 })
    expect(comparisons[0]!.candidate).toMatchObject({ name: 'trial@1', numCalls: 40, numErrors: 40, numSampled: 0 })
    expect(comparisons[0]!.metrics.find(({ metric }) => metric === 'error-rate')).toMatchObject({ estimate: 1, verdict: 'worse' })
  })

  test('nothing to compare, an unknown endpoint and an unknown baseline are said so', async () => {
    await expect(compare()).rejects.toMatchObject({ code: 'invalid_parameter', message: expect.stringContaining('no variant') as string })
    await write(5, 'chat/main@1')
    await expect(compare()).rejects.toMatchObject({ message: expect.stringContaining('calls in that time went to main@1') as string })
    await expect(compare({ baseline: 'nobody' })).rejects.toMatchObject({ param: 'baseline' })
    await expect(compare({ endpoint: 'other' })).rejects.toMatchObject({ code: 'resource_not_found' })
    await expect(compare({ fromMs: 1 - 40 * 86_400_000 })).rejects.toMatchObject({ param: 'from' })
  })
})
