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
