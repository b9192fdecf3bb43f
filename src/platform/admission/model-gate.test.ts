import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { ModelGate, type GateOptions, type Ticket } from './model-gate.ts'

const NEVER = new AbortController().signal
const CALL = { tenant: 't', tier: 'default', tokens: 8, numChoices: 1 } as const

test('the time in which a model wakes says nothing of its pace: nobody is refused for it', async () => {
  const clock = new FakeClock()
  let isUp = false
  const options: GateOptions = {
    maxRunning: () => 1,
    flexShare: 1,
    maxRunningTokens: null,
    maxWaiting: 512,
    maxWaitingTokens: 100_000,
    maxWaitMs: { priority: 5000, default: 5000, flex: 5000 },
    ageingMs: 20_000,
    deadlineMs: 60_000,
    isUp: () => isUp,
  }
  const gate = new ModelGate({ options, clock, random: new SeededRandom(1) })
  const first = gate.enter(CALL, NEVER) as Ticket
  const early = Promise.resolve(gate.enter(CALL, NEVER))
  await clock.advance(3000)
  isUp = true
  await clock.advance(10)
  gate.leave(first, 8)
  expect(gate.figures.tokensPerMs).toBeGreaterThan(0.05)
  const waiting = Array.from({ length: 25 }, () => Promise.resolve(gate.enter(CALL, NEVER)).catch((error: { code: string }) => error.code))
  gate.leave(await early, 8)
  for (const place of waiting) {
    const ticket = await place
    if (typeof ticket === 'string') expect.unreachable(ticket)
    gate.leave(ticket, 8)
  }
  expect(gate.isIdle).toBe(true)
})

function gateOf(more: Partial<GateOptions>): { readonly gate: ModelGate; readonly clock: FakeClock } {
  const clock = new FakeClock()
  const options: GateOptions = {
    maxRunning: () => 8,
    flexShare: 0.75,
    maxRunningTokens: null,
    maxWaiting: 512,
    maxWaitingTokens: 100_000,
    maxWaitMs: { priority: 60_000, default: 60_000, flex: 600_000 },
    ageingMs: 1000,
    deadlineMs: 600_000,
    ...more,
  }
  return { gate: new ModelGate({ options, clock, random: new SeededRandom(1) }), clock }
}

const FLEX = { ...CALL, tier: 'flex' } as const

test('flex leaves places free for the others, and holds nobody up, however long it has waited', async () => {
  const { gate, clock } = gateOf({})
  const begun: string[] = []
  const enter = (call: typeof CALL | typeof FLEX): void => {
    void Promise.resolve(gate.enter(call, NEVER)).then(() => begun.push(call.tier))
  }
  for (let count = 0; count < 10; count++) enter(FLEX)
  await clock.advance(0)
  expect(begun).toEqual(Array(6).fill('flex'))
  // By now those of flex that wait count as if they were of a higher tier.
  await clock.advance(5000)
  for (let count = 0; count < 3; count++) enter(CALL)
  await clock.advance(0)
  expect(begun.slice(6)).toEqual(['default', 'default'])
  expect(gate.figures).toMatchObject({ numRunning: 8, numWaiting: 5 })
  gate.checkInvariants()
})

test('where the model puts flex behind all others, they have all places, and flex still has its share', async () => {
  const { gate, clock } = gateOf({ yieldsFlex: () => true })
  for (let count = 0; count < 10; count++) void Promise.resolve(gate.enter(FLEX, NEVER))
  const others = Array.from({ length: 9 }, () => Promise.resolve(gate.enter(CALL, NEVER)))
  await clock.advance(0)
  expect(gate.figures).toMatchObject({ numRunning: 14, numWaiting: 5 })
  gate.checkInvariants()
  gate.leave(await others[0]!, 8)
  await clock.advance(0)
  // The ninth of them goes before flex, whose share is full besides.
  expect(gate.figures).toMatchObject({ numRunning: 14, numWaiting: 4 })
  gate.checkInvariants()
})

test('a flex call that is larger than the share of flex runs when nothing else does', async () => {
  const { gate } = gateOf({ maxRunning: () => 1 })
  const first = (await gate.enter(FLEX, NEVER)) as Ticket
  gate.leave(first, 8)
  const large = gate.enter({ ...FLEX, numChoices: 7 }, NEVER)
  expect(large).not.toBeInstanceOf(Promise)
})
