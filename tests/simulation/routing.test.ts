/** Routing with targets that die, stall and heal on a fake clock: no call lost that could be answered, never two answers, budgets hold. */
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { DEFAULT_CALL_OPTIONS, newCallReport, type OnlineCall } from '#contract/call'
import { InferdError } from '#contract/errors'
import { NO_USAGE, PLAIN_OUTPUT, type GenerateEvent, type GenerateRequest } from '#contract/generate'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { ROUTE_DEFAULTS } from '#platform/routing/route-table'
import { routingHandler } from '#platform/routing/routing-handler'
import { directoryOf, FakeModel, type Script } from '../conformance/fake-model.ts'

type Health = 'well' | 'slow' | 'dead' | 'stalled' | 'busy' | 'breaking'
const NEVER = new AbortController().signal
const NUM_CALLS = 400
const STEP_MS = 25
const FIRST_PIECE_MS: Partial<Record<Health, number>> = { slow: 300, stalled: 1e9 }

/** A target whose health changes over time; it counts what runs on it. */
class SimulatedTarget {
  health: Health = 'well'
  numAsked = 0
  numRunning = 0
  readonly model: FakeModel

  constructor(name: string, clock: FakeClock) {
    this.model = new FakeModel({ name, script: scriptOf(this, name, clock) })
  }
}

function scriptOf(target: SimulatedTarget, name: string, clock: FakeClock): Script {
  return async function* (_request, signal): AsyncGenerator<GenerateEvent> {
    target.numAsked++
    target.numRunning++
    try {
      const { health } = target
      if (health === 'busy') throw new InferdError('overloaded', 'busy')
      await clock.sleep(10, signal)
      if (health === 'dead') throw new InferdError('upstream_failed', 'dead')
      yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
      await clock.sleep(FIRST_PIECE_MS[health] ?? 30, signal)
      yield { type: 'text-delta', choice: 0, text: name, logprobs: null }
      await clock.sleep(20, signal)
      if (health === 'breaking') throw new InferdError('replica_lost', 'broke')
      yield { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null }
      yield { type: 'response-end', usage: { ...NO_USAGE, promptTokens: 1, completionTokens: 1 } }
    } finally {
      target.numRunning--
    }
  }
}

interface Ending {
  readonly texts: string[]
  readonly numTerminal: number
  readonly kind: 'answered' | 'broken' | 'refused' | 'left'
  readonly servedBy: string | null
}

async function simulate(seed: number) {
  const clock = new FakeClock()
  const random = new SeededRandom(seed)
  const flaky = ['a', 'b'].map((name) => new SimulatedTarget(name, clock))
  const steady = new SimulatedTarget('c', clock)
  const fallback = (model: string) => ({ model, on: ['busy', 'failed', 'timeout'] as const })
  const route = {
    ...ROUTE_DEFAULTS,
    name: 'r',
    variants: [
      { model: 'a', weight: 2 },
      { model: 'b', weight: 1 },
    ],
    fallbacks: [fallback('b'), fallback('c')],
    maxRetries: 1,
    firstPieceTimeoutMs: 400,
    hedge: { quantile: 0.95, minDelayMs: 150 },
  }
  const models = directoryOf(...flaky.map(({ model }) => model), steady.model)
  const handler = routingHandler({ models, routes: [route], clock, random })
  const endings: Promise<Ending>[] = []
  for (let index = 0; index < NUM_CALLS; index++) {
    const target = flaky[random.nextInt(2)]!
    if (index % 20 === 0) target.health = (['well', 'slow', 'dead', 'stalled', 'busy', 'breaking'] as const)[random.nextInt(6)]!
    const caller = new AbortController()
    endings.push(take(handler.generate(callOf(index), index % 17 === 0 ? caller.signal : NEVER), callReports.get(index)!, caller.signal))
    await clock.advance(STEP_MS)
    if (index % 17 === 0) caller.abort(new InferdError('cancelled', 'left'))
  }
  for (let step = 0; step < 100; step++) await clock.advance(STEP_MS)
  await settle()
  return { endings: await Promise.all(endings), flaky, steady, handler, clock, random }
}

const callReports = new Map<number, OnlineCall['report']>()

function callOf(index: number): OnlineCall {
  const report = newCallReport()
  callReports.set(index, report)
  return {
    requestId: String(index),
    principal: LOCAL_PRINCIPAL,
    dialect: 'openai',
    model: 'r',
    options: DEFAULT_CALL_OPTIONS,
    arrivedMs: 0,
    report,
    operation: 'chat',
    request: { input: { kind: 'text', text: 'x' }, output: PLAIN_OUTPUT } as unknown as GenerateRequest,
    isBuffered: index % 3 === 0,
  }
}

async function take(events: AsyncIterable<GenerateEvent>, report: OnlineCall['report'], signal: AbortSignal): Promise<Ending> {
  const texts: string[] = []
  let numTerminal = 0
  let kind: Ending['kind'] = 'refused'
  try {
    for await (const event of events) {
      expect(numTerminal).toBe(0)
      if (event.type === 'text-delta') texts.push(event.text)
      if (event.type === 'response-end' || event.type === 'response-error') numTerminal++
      if (event.type === 'response-end') kind = 'answered'
      if (event.type === 'response-error') kind = 'broken'
    }
  } catch (error) {
    expect(error).toBeInstanceOf(InferdError)
    kind = signal.aborted ? 'left' : 'refused'
  }
  return { texts, numTerminal, kind, servedBy: report.servedBy }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])('no call is lost, none is answered twice and nothing is left running (seed %i)', async (seed) => {
  const { endings, flaky, steady, clock } = await simulate(seed)
  for (const { kind, texts, numTerminal, servedBy } of endings) {
    // The last fallback is always well: only a stream that had begun may end badly.
    expect(kind).not.toBe('refused')
    if (kind === 'answered' || kind === 'broken') expect([texts, numTerminal]).toEqual([[servedBy], 1])
  }
  for (const [index, { kind }] of endings.entries()) if (index % 3 === 0) expect(kind).not.toBe('broken')
  expect([...flaky, steady].map(({ numRunning }) => numRunning)).toEqual([0, 0, 0])
  expect(clock.numSleepers).toBe(0)
})

test('the same seed gives the same course', async () => {
  const course = async () => (await simulate(9)).endings.map(({ kind, servedBy }) => `${kind} ${servedBy}`)
  expect(await course()).toEqual(await course())
})

test('a healed target gets its calls back', async () => {
  const { flaky, handler, clock, endings } = await simulate(10)
  expect(endings.length).toBe(NUM_CALLS)
  for (const target of flaky) target.health = 'well'
  await clock.advance(130_000)
  for (let index = 0; index < 8; index++) {
    const ending = take(handler.generate(callOf(index), NEVER), callReports.get(index)!, NEVER)
    for (let step = 0; step < 10; step++) await clock.advance(STEP_MS)
    expect((await ending).kind).toBe('answered')
  }
  expect(handler.stats().targets.map(({ breaker }) => breaker)).toEqual(handler.stats().targets.map(() => 'closed'))
})
