import fc from 'fast-check'
import { expect, test } from 'vitest'
import { settle } from '#base/fake-clock'
import { InferdError } from '#contract/errors'
import { NO_USAGE, PLAIN_OUTPUT, type ChatMessage, type GenerateEvent, type GenerateRequest, type ModelFacts } from '#contract/generate'
import { chooseReplica, DEFAULT_AFFINITY, prefixChain, type ReplicaLoad } from './choose-replica.ts'
import { ReplicaSet } from './replica-set.ts'
import type { ServedModel, ServedModelState } from './served-model.ts'

const NEVER = new AbortController().signal
const idle: ReplicaLoad = { id: 1, isReady: true, outstandingTokens: 0 }

function requestOf(...contents: string[]): GenerateRequest {
  const messages: ChatMessage[] = contents.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content }))
  return { input: { kind: 'messages', messages }, output: PLAIN_OUTPUT, cacheSalt: 't' } as unknown as GenerateRequest
}

/** Answers when told to. */
class Member implements ServedModel {
  readonly name = 'm'
  readonly createdSeconds = 1
  state: ServedModelState = { kind: 'ready', facts: {} as ModelFacts }
  numCalls = 0
  private readonly gates: (() => void)[] = []
  isLost = false

  async *generate(): AsyncGenerator<GenerateEvent, void> {
    this.numCalls++
    if (this.isLost) throw new InferdError('replica_lost', 'lost')
    await new Promise<void>((resolve) => this.gates.push(resolve))
    yield { type: 'response-end', usage: NO_USAGE }
  }
  finish(): void {
    for (const open of this.gates.splice(0)) open()
  }
  async whileLoading(): Promise<void> {}
  async embed(): Promise<never> {
    throw new InferdError('replica_lost', 'lost')
  }
  async countTokens(): Promise<number> {
    return 5
  }
  async probe() {
    return { numRunning: 1, numWaiting: 0, numBlocks: 4, numFreeBlocks: 2 }
  }
}

async function drain(events: AsyncIterable<GenerateEvent>): Promise<string[]> {
  const types: string[] = []
  for await (const { type } of events) types.push(type)
  return types
}

test('a replica that is not ready never takes a prompt', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ isReady: fc.boolean(), outstandingTokens: fc.nat(100_000) }), { minLength: 1, maxLength: 8 }),
      fc.array(fc.option(fc.nat(7)), { maxLength: 5 }),
      (states, owners) => {
        const loads = states.map((state, id) => ({ ...state, id }))
        const choice = chooseReplica(loads, { chain: owners.map(String), owners, policy: DEFAULT_AFFINITY })
        if (loads.every(({ isReady }) => !isReady)) expect(choice).toBeNull()
        else expect(loads[choice!.index]!.isReady).toBe(true)
      },
    ),
    { seed: 4 },
  )
})

test('a busy owner keeps its prompts until it has too much more than the least busy one', () => {
  const at = (outstandingTokens: number) =>
    chooseReplica([{ id: 0, isReady: true, outstandingTokens }, idle], { chain: ['a'], owners: [0], policy: { spillTokens: 100 } })
  expect(at(100)).toEqual({ index: 0, reason: 'sticky' })
  expect(at(101)).toEqual({ index: 1, reason: 'spill' })
})

test('one more replica moves only the prompts that it takes itself', () => {
  const keys = Array.from({ length: 400 }, (_, index) => `key ${index}`)
  const place = (numReplicas: number, key: string) =>
    chooseReplica(
      Array.from({ length: numReplicas }, (_, id) => ({ ...idle, id })),
      { chain: [key], owners: [null], policy: DEFAULT_AFFINITY },
    )!.index
  const moved = keys.filter((key) => place(3, key) !== place(4, key))
  expect(moved.every((key) => place(4, key) === 3)).toBe(true)
  expect(moved.length).toBeGreaterThan(60)
  expect(moved.length).toBeLessThan(140)
})

test('the chain of a longer conversation begins with that of the shorter one, and tenants share none', () => {
  const short = prefixChain(requestOf('a', 'b').input, 's')
  expect(prefixChain(requestOf('a', 'b', 'c').input, 's').slice(0, 2)).toEqual(short)
  expect(prefixChain(requestOf('a', 'b').input, 'other')[0]).not.toBe(short[0])
  expect(prefixChain({ kind: 'text', text: '' }, 's')).toHaveLength(1)
  expect(prefixChain({ kind: 'text', text: 'x'.repeat(1e6) }, 's')).toHaveLength(16)
})

test('the turns of a conversation meet the replica that has the turns before', async () => {
  const members = [new Member(), new Member(), new Member()]
  const set = new ReplicaSet('m', members)
  for (const turns of [['a'], ['a', 'b', 'c'], ['a', 'b', 'c', 'd', 'e']]) {
    const answer = drain(set.generate(requestOf(...turns), NEVER))
    await settle()
    for (const member of members) member.finish()
    await answer
  }
  expect(members.map(({ numCalls }) => numCalls).toSorted((a, b) => a - b)).toEqual([0, 0, 3])
  expect(set.stats).toMatchObject({ numSticky: 2, numRendezvous: 1, outstandingTokens: [0, 0, 0] })
})

test('a replica that dies before the first event is replaced by another, and nothing stays counted', async () => {
  const members = [new Member(), new Member()]
  const set = new ReplicaSet('m', members)
  const first = drain(set.generate(requestOf('a'), NEVER))
  await settle()
  const owner = members.find(({ numCalls }) => numCalls === 1)!
  const other = members.find((member) => member !== owner)!
  owner.finish()
  await first
  owner.isLost = true
  owner.generate = async function* (this: Member) {
    this.numCalls++
    yield* []
    this.state = { kind: 'loading', loadedBytes: 0, totalBytes: 0 }
    throw new InferdError('replica_lost', 'lost')
  }
  const second = drain(set.generate(requestOf('a'), NEVER))
  await settle()
  other.finish()
  expect(await second).toEqual(['response-end'])
  expect(set.stats.outstandingTokens).toEqual([0, 0])
  expect(set.state.kind).toBe('ready')
  await expect(set.embed({ inputs: [] } as never, NEVER)).rejects.toMatchObject({ code: 'replica_lost' })
  expect((await set.probe(NEVER)).numBlocks).toBe(4)
})

test('with nobody ready a prompt waits with the replica that loads and not with one that has failed', async () => {
  const [failed, loading] = [new Member(), new Member()]
  failed.state = { kind: 'failed', error: { code: 'invalid_model_file', message: 'no', param: null, retryAfterMs: null } }
  loading.state = { kind: 'loading', loadedBytes: 0, totalBytes: 0 }
  const set = new ReplicaSet('m', [failed, loading])
  const answer = drain(set.generate(requestOf('hi'), NEVER))
  await settle()
  expect([failed.numCalls, loading.numCalls]).toEqual([0, 1])
  loading.finish()
  expect(await answer).toEqual(['response-end'])
})

test('a prompt whose replica leaves the set goes on to another as often as that happens, and a process is lost once', async () => {
  const members = Array.from({ length: 4 }, () => new Member())
  const set = new ReplicaSet('m', members)
  for (const member of members.slice(1)) {
    member.state = { kind: 'loading', loadedBytes: 0, totalBytes: 0 }
    member.generate = async function* () {
      set.remove(member)
      throw new InferdError('model_not_found', 'is being removed')
    }
  }
  members[0]!.state = { kind: 'asleep', facts: null, waking: null, problem: null }
  const answer = drain(set.generate(requestOf('hi'), NEVER))
  await settle()
  members[0]!.finish()
  expect(await answer).toEqual(['response-end'])
  expect(set.stats.outstandingTokens).toEqual([0])
  members[0]!.isLost = true
  await expect(drain(set.generate(requestOf('hi'), NEVER))).rejects.toThrow('lost')
  expect(members[0]!.numCalls).toBe(3)
})
