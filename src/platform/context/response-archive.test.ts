/** Kept responses over both stores: chains, retention, the race of ends, and what a restart makes of the unfinished. */
import { beforeEach, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import type { StoredResponse } from '#contract/stored-response'
import type { Store } from '#platform/store/open-store'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { StoredResponses } from './response-archive.ts'

const DAY_MS = 86_400_000

let store: Store
let clock: FakeClock
let archive: StoredResponses

function response(id: string, change: Partial<StoredResponse> = {}): StoredResponse {
  return {
    id,
    team: 't',
    model: 'm',
    previousId: null,
    status: 'completed',
    createdMs: clock.wallMs(),
    isBackground: false,
    error: null,
    body: { id },
    inputItems: [{ id: `${id}-in` }],
    messages: [
      { role: 'user', content: `${id}?` },
      { role: 'assistant', content: `${id}!` },
    ],
    ...change,
  }
}

const key = (id: string, team = 't'): { team: string; id: string } => ({ team, id })
const said = async (id: string): Promise<string> => (await archive.conversation(key(id), 100)).map(({ content }) => content).join(' ')

onEachStore(({ open }) => {
  beforeEach(async () => {
    store = await open()
    clock = new FakeClock()
    archive = new StoredResponses({ store, clock, retentionMs: 2 * DAY_MS })
  })

  test('what is added is read back as it was, by its team only', async () => {
    const added = response('a', { isBackground: true, error: { code: 'overloaded', message: 'x', param: null, retryAfterMs: 5 }, status: 'failed' })
    await archive.add(added)
    expect(await archive.get(key('a'))).toEqual(added)
    expect(await archive.get(key('a', 'other'))).toBe(null)
    expect(await archive.delete(key('a', 'other'))).toBe(false)
    await expect(archive.add(added)).rejects.toMatchObject({ code: 'conflict' })
  })

  test('a conversation is a chain; branches share what is before them; another team has none of it', async () => {
    await archive.add(response('a'))
    await archive.add(response('b', { previousId: 'a' }))
    await archive.add(response('c', { previousId: 'b' }))
    await archive.add(response('d', { previousId: 'a' }))
    expect([await said('c'), await said('d')]).toEqual(['a? a! b? b! c? c!', 'a? a! d? d!'])
    await expect(archive.conversation(key('c', 'other'), 100)).rejects.toMatchObject({ code: 'resource_not_found' })
    await archive.add(response('e', { previousId: 'a', team: 'other' }))
    await expect(archive.conversation(key('e', 'other'), 100)).rejects.toMatchObject({ code: 'resource_not_found' })
    await archive.delete(key('b'))
    await expect(archive.conversation(key('c'), 100)).rejects.toMatchObject({ code: 'resource_not_found' })
    expect(await said('d')).toBe('a? a! d? d!')
  })

  test('a conversation that is too long is refused, however long its chain is', async () => {
    await archive.add(response('0'))
    for (let index = 1; index < 60; index++) await archive.add(response(`${index}`, { previousId: `${index - 1}` }))
    expect(await archive.conversation(key('49'), 100)).toHaveLength(100)
    await expect(archive.conversation(key('50'), 100)).rejects.toMatchObject({ code: 'invalid_parameter' })
    await expect(archive.conversation(key('59'), 20)).rejects.toMatchObject({ code: 'invalid_parameter' })
  })

  test('the time of a conversation is that of its last response; what is over is gone, swept or not', async () => {
    await archive.add(response('a'))
    await archive.add(response('lone'))
    await clock.advance(DAY_MS)
    await archive.add(response('b', { previousId: 'a' }))
    await clock.advance(DAY_MS)
    expect(await archive.get(key('lone'))).toBe(null)
    expect(await said('b')).toBe('a? a! b? b!')
    const stop = new AbortController()
    const sweeping = archive.sweep(stop.signal, (error) => expect(error).toBe(null))
    const left = async (): Promise<unknown> => (await store.db.selectFrom('response').select('id').orderBy('id').execute()).map(({ id }) => id)
    expect(await left()).toEqual(['a', 'b'])
    const hoursLater = async (): Promise<unknown> => {
      await clock.advance(DAY_MS / 24)
      return left()
    }
    await clock.advance(DAY_MS)
    await expect.poll(hoursLater).toEqual([])
    stop.abort()
    await sweeping
  })

  test('of two ends the first one counts', async () => {
    await archive.add(response('a', { status: 'queued', isBackground: true }))
    await archive.markRunning(key('a'))
    expect((await archive.get(key('a')))?.status).toBe('in_progress')
    const answer = { body: { done: true }, messages: [] }
    expect(await archive.settle(key('a'), { status: 'completed', error: null, answer })).toBe(true)
    expect(await archive.settle(key('a'), { status: 'cancelled', error: null, answer: null })).toBe(false)
    await archive.markRunning(key('a'))
    expect(await archive.get(key('a'))).toMatchObject({ status: 'completed', body: { done: true } })
    expect(await archive.settle(key('none'), { status: 'completed', error: null, answer })).toBe(false)
  })

  test('what a restart finds unfinished is failed with a reason, and nothing else is touched', async () => {
    await archive.add(response('a', { status: 'queued' }))
    await archive.add(response('b', { status: 'in_progress' }))
    await archive.add(response('c'))
    expect(await archive.failUnfinished()).toBe(2)
    expect(await archive.failUnfinished()).toBe(0)
    const found = await Promise.all(['a', 'b', 'c'].map((id) => archive.get(key(id))))
    expect(found.map((one) => [one?.status, one?.error?.code ?? null])).toEqual([
      ['failed', 'replica_lost'],
      ['failed', 'replica_lost'],
      ['completed', null],
    ])
  })
})
