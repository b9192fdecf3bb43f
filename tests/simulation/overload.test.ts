/** A model under 1, 2, 5 and 10 times the load that it can carry, open loop, on a fake clock: what gets through, what waits, who is hurt. */
import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import type { ServiceTier } from '#contract/call'
import { InferdError } from '#contract/errors'
import { ModelGate, type GateOptions, type Ticket } from '#platform/admission/model-gate'

/** 8 at a time, 500 tokens of 2 ms each: 8 calls a second at most. */
const SEQUENCES = 8
const CALL_TOKENS = 500
const MS_PER_TOKEN = 2
const PEAK_PER_S = SEQUENCES / ((CALL_TOKENS * MS_PER_TOKEN) / 1000)
const PATIENCE_MS = 20_000

const OPTIONS: GateOptions = {
  maxRunning: () => 10,
  flexShare: 1,
  maxRunningTokens: null,
  maxWaiting: 512,
  maxWaitingTokens: 100_000,
  maxWaitMs: { priority: 5000, default: 5000, flex: 60_000 },
  ageingMs: 20_000,
  deadlineMs: PATIENCE_MS,
}

interface Load {
  readonly tenant: string
  readonly perS: number
  readonly tier?: ServiceTier
  readonly tokens?: number
  /** Of a refused call, after the time that it was told, as the official clients do it. */
  readonly maxRetries?: number
}

interface Outcome {
  /** Answered within the caller's patience, after the first 10 s. */
  numGood: number
  numRefused: number
  readonly waitsMs: number[]
  readonly retriesMs: number[]
  /** How long a refused call waited for its refusal. */
  readonly refusalsMs: number[]
}

/** The engine: admitted calls beyond its sequences wait in its own line. */
class FakeEngine {
  private readonly clock: FakeClock
  private numRunning = 0
  private readonly line: (() => void)[] = []

  constructor(clock: FakeClock) {
    this.clock = clock
  }

  async run(tokens: number): Promise<void> {
    if (this.numRunning >= SEQUENCES) await new Promise<void>((resolve) => this.line.push(resolve))
    else this.numRunning++
    await this.clock.sleep(tokens * MS_PER_TOKEN)
    const next = this.line.shift()
    if (next === undefined) this.numRunning--
    else next()
  }
}

interface Run {
  readonly outcomes: ReadonlyMap<string, Outcome>
  readonly mostWaiting: number
  readonly mostWaitingTokens: number
  readonly gate: ModelGate
  readonly clock: FakeClock
}

/** Poisson arrivals of each load for `seconds`. */
async function overload(loads: readonly Load[], seconds: number, options: GateOptions = OPTIONS): Promise<Run> {
  const clock = new FakeClock()
  const random = new SeededRandom(7)
  const gate = new ModelGate({ options, clock, random: new SeededRandom(8) })
  const engine = new FakeEngine(clock)
  const outcomes = new Map<string, Outcome>()
  const arrivals = loads.flatMap((load) => {
    const times: { readonly atMs: number; readonly load: Load }[] = []
    for (let atMs = 0; ;) {
      atMs += (-Math.log(1 - random.nextFloat()) * 1000) / load.perS
      if (atMs > seconds * 1000) return times
      times.push({ atMs, load })
    }
  })
  arrivals.sort((a, b) => a.atMs - b.atMs)
  let mostWaiting = 0
  let mostWaitingTokens = 0
  for (const { atMs, load } of arrivals) {
    await clock.advance(Math.max(0, atMs - clock.nowMs()))
    void serve({ gate, engine, clock, load, outcome: outcomeOf(outcomes, load) })
    gate.checkInvariants()
    mostWaiting = Math.max(mostWaiting, gate.figures.numWaiting)
    mostWaitingTokens = Math.max(mostWaitingTokens, gate.figures.waitingTokens)
  }
  return { outcomes, mostWaiting, mostWaitingTokens, gate, clock }
}

interface Serving {
  readonly gate: ModelGate
  readonly engine: FakeEngine
  readonly clock: FakeClock
  readonly load: Load
  readonly outcome: Outcome
}

async function serve({ gate, engine, clock, load, outcome }: Serving, numRetries = 0): Promise<void> {
  const { tenant, tier = 'default', tokens = CALL_TOKENS, maxRetries = 0 } = load
  const arrivedMs = clock.nowMs()
  let ticket: Ticket
  try {
    ticket = await gate.enter({ tenant, tier, tokens: CALL_TOKENS, numChoices: 1 }, new AbortController().signal)
  } catch (error) {
    if (!(error instanceof InferdError) || error.code !== 'overloaded') throw error
    outcome.numRefused++
    outcome.retriesMs.push(error.retryAfterMs ?? 0)
    outcome.refusalsMs.push(clock.nowMs() - arrivedMs)
    if (numRetries >= maxRetries) return
    await clock.sleep(error.retryAfterMs ?? 0)
    return serve({ gate, engine, clock, load, outcome }, numRetries + 1)
  }
  await engine.run(tokens)
  gate.leave(ticket, tokens)
  const tookMs = clock.nowMs() - arrivedMs
  if (arrivedMs < 10_000) return
  outcome.waitsMs.push(tookMs)
  if (tookMs <= PATIENCE_MS) outcome.numGood++
}

function outcomeOf(outcomes: Map<string, Outcome>, { tenant }: Load): Outcome {
  const outcome = outcomes.get(tenant) ?? { numGood: 0, numRefused: 0, waitsMs: [], retriesMs: [], refusalsMs: [] }
  outcomes.set(tenant, outcome)
  return outcome
}

function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0
}

const SECONDS = 60

test('goodput at ten times the load is at least 90 % of the peak, the line stays bounded, and the model is idle soon after', async () => {
  const goodput: number[] = []
  for (const factor of [1, 2, 5, 10]) {
    const { outcomes, mostWaiting, mostWaitingTokens, gate, clock } = await overload([{ tenant: 'all', perS: PEAK_PER_S * factor }], SECONDS)
    goodput.push(outcomes.get('all')!.numGood / (SECONDS - 10))
    expect(mostWaiting).toBeLessThanOrEqual(OPTIONS.maxWaiting)
    expect(mostWaitingTokens).toBeLessThanOrEqual(OPTIONS.maxWaitingTokens)
    await clock.advance(10_000)
    expect([gate.figures.numRunning, gate.figures.numWaiting, clock.numSleepers]).toEqual([0, 0, 0])
  }
  const peak = Math.max(...goodput)
  expect(peak).toBeGreaterThan(0.85 * PEAK_PER_S)
  expect(goodput[3]! / peak).toBeGreaterThanOrEqual(0.9)
})

test.each([0, 2])('who is refused is told at once, and with %i retries goodput holds', async (maxRetries) => {
  const goodput: number[] = []
  for (const factor of [1, 10]) {
    const { outcomes } = await overload([{ tenant: 'all', perS: PEAK_PER_S * factor, maxRetries }], SECONDS)
    const { numGood, refusalsMs } = outcomes.get('all')!
    goodput.push(numGood / (SECONDS - 10))
    if (factor === 10) expect(percentile(refusalsMs, 0.99)).toBeLessThan(50)
  }
  expect(goodput[1]! / Math.max(...goodput)).toBeGreaterThanOrEqual(0.9)
})

test('a tenant that floods does not hurt a light one: its 99th percentile stays within one and a half times', async () => {
  const light: Load = { tenant: 'light', perS: 1 }
  const busy = await overload([light, { tenant: 'other', perS: PEAK_PER_S - 1.5 }], SECONDS)
  const flooded = await overload([light, { tenant: 'other', perS: PEAK_PER_S * 10 }], SECONDS)
  const alone = percentile(busy.outcomes.get('light')!.waitsMs, 0.99)
  const beside = percentile(flooded.outcomes.get('light')!.waitsMs, 0.99)
  expect(flooded.outcomes.get('light')!.numRefused).toBe(0)
  expect(beside / alone).toBeLessThanOrEqual(1.5)
})

test('tenants that both flood share by tokens, also when one asks for more in each call', async () => {
  const { outcomes } = await overload(
    [
      { tenant: 'short', perS: 20, tokens: 250 },
      { tenant: 'long', perS: 20, tokens: 1000 },
    ],
    SECONDS,
  )
  const tokens = outcomes.get('short')!.numGood * 250
  const others = outcomes.get('long')!.numGood * 1000
  expect(tokens / others).toBeGreaterThan(0.8)
  expect(tokens / others).toBeLessThan(1.25)
})

test('priority goes before default and flex takes what is left, but never starves', async () => {
  const { outcomes } = await overload(
    [
      { tenant: 'first', perS: 3, tier: 'priority' },
      { tenant: 'second', perS: 10, tier: 'default' },
      { tenant: 'third', perS: 5, tier: 'flex' },
    ],
    120,
    { ...OPTIONS, deadlineMs: 120_000 },
  )
  expect(outcomes.get('first')!.numRefused).toBe(0)
  expect(percentile(outcomes.get('first')!.waitsMs, 0.99)).toBeLessThan(percentile(outcomes.get('second')!.waitsMs, 0.5))
  expect(outcomes.get('third')!.waitsMs.length).toBeGreaterThan(0)
  expect(percentile(outcomes.get('third')!.waitsMs, 0.5)).toBeGreaterThan(percentile(outcomes.get('second')!.waitsMs, 0.5))
})

test('the time to come back grows with the load and is never twice the same', async () => {
  const mild = (await overload([{ tenant: 'all', perS: PEAK_PER_S * 2 }], SECONDS)).outcomes.get('all')!
  const hard = (await overload([{ tenant: 'all', perS: PEAK_PER_S * 10 }], SECONDS)).outcomes.get('all')!
  expect(percentile(hard.retriesMs, 0.5)).toBeGreaterThan(2 * percentile(mild.retriesMs, 0.5))
  expect(new Set(hard.retriesMs).size).toBeGreaterThan(hard.retriesMs.length / 4)
})
