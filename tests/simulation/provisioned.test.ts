/**
 * Provisioned throughput under a flood of calls on demand, door and engine together, in virtual time: an owner that keeps to what it has bought is
 * never refused, never spills over and hardly waits; what it asks beyond that is like all others. Steps cost what they cost on two cores.
 */
import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { admissionSection } from '#config/platform-file/admission'
import { pricesSection } from '#config/platform-file/prices'
import type { OnlineCall, ServiceTier } from '#contract/call'
import { InferdError } from '#contract/errors'
import { NO_USAGE } from '#contract/generate'
import type { EngineCore } from '#engine/engine-core'
import { engineCoreOptions } from '#engine/engine-core-options'
import type { Executor } from '#engine/kernels/kernels'
import { Admission } from '#platform/admission/admission'
import { BudgetBook } from '#platform/admission/budget-book'
import { PriceTable } from '#platform/metering/price-table'
import { UnitBook } from '#platform/provisioned/unit-book'
import { bindNullExecutor, SMALL_CORE, startNullCore } from './null-core.ts'
import { callOf } from './online-call.ts'
import { generateRequest } from './recorded-sink.ts'

const PROMPT_TOKENS = 120
const OUTPUT_TOKENS = 40
/** Of a step: half a billion parameters on two cores. */
const BASE_MS = 10
const MS_PER_TOKEN = 1.5
const NUM_SEQUENCES = 16
const DURATION_MS = 600_000
const OPTIONS = engineCoreOptions({
  contextLength: 1024,
  numBlocks: 256,
  eosTokenIds: SMALL_CORE.eosTokenIds,
  vocabSize: SMALL_CORE.vocabSize,
  hiddenSize: SMALL_CORE.hiddenSize,
  modelIdentity: 'null',
  maxSequences: NUM_SEQUENCES,
})

interface Outcome {
  readonly tier: ServiceTier
  readonly doorMs: number
  readonly firstTokenMs: number
  readonly totalMs: number
}

interface Tally {
  readonly answered: Outcome[]
  numRefused: number
}

interface Stream {
  readonly team: string
  readonly model: string
  readonly perMinute: number
  /** Requests a minute that its key may make; null = any. */
  readonly limit: number | null
}

class World {
  readonly clock = new FakeClock()
  readonly tallies = new Map<string, Tally>()
  private readonly random: SeededRandom
  private readonly book = new UnitBook()
  private readonly admission: Admission
  private core: EngineCore | null = null
  private arrivals: { readonly atMs: number; readonly stream: Stream }[] = []
  private numOpen = 0

  constructor(seed: number, callsPerMinute: number) {
    this.random = new SeededRandom(seed)
    this.admission = new Admission({
      config: admissionSection.parse({}),
      terms: { queueOf: () => 'chat', candidates: () => ['chat'], contextLength: () => 1024, maxSequences: () => NUM_SEQUENCES },
      prices: new PriceTable(pricesSection.parse({})),
      budgets: new BudgetBook({ spentSince: () => Promise.resolve(0n) }),
      reservations: null,
      units: this.book,
      requestTimeoutMs: 600_000,
      clock: this.clock,
      random: this.random,
    })
    const bought = { commitment: 'none', commitmentEndsMs: null, keyId: 'k', createdMs: 0, modifiedMs: 0, tags: {} } as const
    const rate = { inputTokensPerMinute: callsPerMinute * PROMPT_TOKENS, outputTokensPerMinute: callsPerMinute * OUTPUT_TOKENS }
    this.book.put({ id: 'pt', name: 'bought', team: 'owner', model: 'chat', units: 1, ...bought }, rate)
  }

  get spilled(): number {
    return this.book.figures[0]!.numSpilled
  }

  async run(streams: readonly Stream[]): Promise<void> {
    this.core = await startNullCore({ options: OPTIONS, clock: this.clock, executor: this.timed(await bindNullExecutor(OPTIONS)) })
    for (const stream of streams) {
      this.tallies.set(stream.team, { answered: [], numRefused: 0 })
      const gapMs = 60_000 / stream.perMinute
      for (let atMs = gapMs * this.random.nextFloat(); atMs < DURATION_MS; atMs += gapMs * (0.5 + this.random.nextFloat()))
        this.arrivals.push({ atMs, stream })
    }
    this.arrivals.sort((a, b) => a.atMs - b.atMs)
    while (this.clock.nowMs() < DURATION_MS || this.numOpen > 0) {
      await new Promise((resolve) => setImmediate(resolve))
      const { numRunning, numWaiting } = this.core.stats()
      if (numRunning + numWaiting > 0) continue
      const nextMs = this.arrivals[0]?.atMs ?? this.clock.nowMs() + 100
      await this.clock.advance(Math.max(0.01, nextMs - this.clock.nowMs()))
      this.takeArrivals()
    }
    this.admission.checkInvariants()
    expect(this.admission.numHolds).toBe(0)
    await this.core.close()
  }

  private timed(inner: Executor): Executor {
    return {
      memory: inner.memory,
      copyBlocks: (pairs) => inner.copyBlocks(pairs),
      keepWeights: () => inner.keepWeights(),
      close: () => inner.close(),
      runStep: async (batch, sampling) => {
        const output = await inner.runStep(batch, sampling)
        await this.clock.advance(BASE_MS + MS_PER_TOKEN * batch.numTokens)
        this.takeArrivals()
        return output
      },
    }
  }

  private takeArrivals(): void {
    while (this.arrivals[0] !== undefined && this.arrivals[0].atMs <= this.clock.nowMs()) void this.call(this.arrivals.shift()!.stream)
  }

  private async call({ team, model, limit }: Stream): Promise<void> {
    const tally = this.tallies.get(team)!
    const call = callOf({ team, model, text: 'x'.repeat(4 * PROMPT_TOKENS), maxTokens: OUTPUT_TOKENS, limits: { requestsPerMinute: limit } })
    const arrivedMs = this.clock.nowMs()
    this.numOpen++
    try {
      await this.admission.admit(call, new AbortController().signal)
      const doorMs = this.clock.nowMs() - arrivedMs
      const firstTokenMs = (await this.generate(call)) - arrivedMs
      tally.answered.push({ tier: call.report.tier, doorMs, firstTokenMs, totalMs: this.clock.nowMs() - arrivedMs })
      const usage = { ...NO_USAGE, promptTokens: PROMPT_TOKENS, completionTokens: OUTPUT_TOKENS }
      this.admission.settle(call, { cost: 0n, usage, wasStarted: true })
    } catch (error) {
      if (!(error instanceof InferdError)) throw error
      tally.numRefused++
      this.admission.settle(call, { cost: 0n, usage: NO_USAGE, wasStarted: false })
    } finally {
      this.numOpen--
    }
  }

  /** When its first token came. */
  private generate(call: OnlineCall): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const promptTokenIds = Array.from({ length: PROMPT_TOKENS }, () => 1 + this.random.nextInt(OPTIONS.vocabSize - 1))
    const lane = call.report.tier === 'reserved' ? 'reserved' : 'shared'
    let firstMs: number | null = null
    this.core!.submit(generateRequest(promptTokenIds, { maxTokens: OUTPUT_TOKENS, ignoreEos: true, lane }), {
      onStart: () => {},
      onToken: () => (firstMs ??= this.clock.nowMs()),
      onChoiceEnd: () => {},
      onEmbedding: () => {},
      onEnd: () => resolve(firstMs ?? this.clock.nowMs()),
      onError: (error) => reject(error),
    })
    return promise
  }
}

function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0
}

/** Of about 240 such calls a minute that the machine does. */
const BOUGHT_PER_MINUTE = 60
const FLOOD: Stream = { team: 'flood', model: 'chat', perMinute: 1000, limit: null }

test.each([1, 2, 3])('beside a flood of many times the load its owner is never throttled within what it bought (seed %i)', async (seed) => {
  const alone = new World(seed, BOUGHT_PER_MINUTE)
  const owner: Stream = { team: 'owner', model: 'bought', perMinute: BOUGHT_PER_MINUTE * 0.9, limit: 1 }
  await alone.run([owner])
  const world = new World(seed, BOUGHT_PER_MINUTE)
  await world.run([owner, FLOOD])
  const { answered, numRefused } = world.tallies.get('owner')!
  const flood = world.tallies.get('flood')!
  const later =
    p99(answered.map(({ firstTokenMs }) => firstTokenMs)) / p99(alone.tallies.get('owner')!.answered.map(({ firstTokenMs }) => firstTokenMs))
  console.log(
    `owner: ${answered.length} answered, ${numRefused} refused, ${world.spilled} spilled, first token p99 ${later.toFixed(2)} times that of an idle machine; ` +
      `flood: ${flood.answered.length} answered, ${flood.numRefused} refused`,
  )
  expect([numRefused, world.spilled]).toEqual([0, 0])
  expect(answered.length).toBeGreaterThan(BOUGHT_PER_MINUTE * 0.8 * (DURATION_MS / 60_000))
  expect(answered.every(({ tier, doorMs }) => tier === 'reserved' && doorMs === 0)).toBe(true)
  expect(later).toBeLessThan(1.6)
  // The flood has what is left, and it is told so.
  expect(flood.answered.length).toBeGreaterThan(100)
  expect(flood.numRefused).toBeGreaterThan(1000)
})

test('what is asked beyond it spills to on demand, where the rates of its key hold, and what was bought is still delivered', async () => {
  const world = new World(4, BOUGHT_PER_MINUTE)
  await world.run([{ team: 'owner', model: 'bought', perMinute: BOUGHT_PER_MINUTE * 3, limit: 20 }, FLOOD])
  const { answered, numRefused } = world.tallies.get('owner')!
  const reserved = answered.filter(({ tier }) => tier === 'reserved').length
  const minutes = DURATION_MS / 60_000
  expect(reserved).toBeGreaterThan(BOUGHT_PER_MINUTE * 0.95 * minutes)
  expect(reserved).toBeLessThan(BOUGHT_PER_MINUTE * 1.2 * minutes)
  expect(world.spilled).toBeGreaterThan(BOUGHT_PER_MINUTE * minutes)
  expect(numRefused).toBeGreaterThan(100)
  // Of its key's 20 a minute, as far as the flood leaves room.
  expect(answered.length - reserved).toBeLessThanOrEqual(21 * minutes)
})
