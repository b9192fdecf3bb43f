/** The whole online path under callers that leave, models that break and stages that throw: what a call holds it gives back, once. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { admissionSection } from '#config/platform-file/admission'
import { pricesSection } from '#config/platform-file/prices'
import type { OnlineCall } from '#contract/call'
import { type ErrorCode, InferdError } from '#contract/errors'
import type { GenerateEvent } from '#contract/generate'
import { Admission } from '#platform/admission/admission'
import { BudgetBook } from '#platform/admission/budget-book'
import { ReservationLog } from '#platform/admission/reservation-log'
import { Metering } from '#platform/metering/metering'
import { PriceTable } from '#platform/metering/price-table'
import { onlinePath } from '#platform/online/online-path'
import type { OnlineModels } from '#platform/online/online-models'
import type { Stage } from '#platform/online/stage'
import { ROUTE_DEFAULTS } from '#platform/routing/route-table'
import { routingHandler } from '#platform/routing/routing-handler'
import { directoryOf, FakeModel } from '../conformance/fake-model.ts'
import { ANSWER, callOf } from './online-call.ts'

const LIMITS = { budgetUsd: 1000, maxConcurrentRequests: 6, tokensPerMinute: 1_000_000 }
const PRICES = new PriceTable(pricesSection.parse({ '*': { input: 1, output: 2 } }))
const STEP_MS = 10

interface Fate {
  readonly arrivesAfter: number
  /** Steps until the caller does so; null = it reads to the end. */
  readonly leavesAfter: number | null
  readonly leavesBy: 'abort' | 'return' | 'both' | 'silence'
  readonly model: 'answers' | 'refuses' | 'breaks' | 'stalls' | 'stops short'
  readonly stage: 'passes' | 'throws' | 'throws late' | 'cuts'
  readonly hasBudget: boolean
}

const FATE: fc.Arbitrary<Fate> = fc.record({
  arrivesAfter: fc.nat(3),
  leavesAfter: fc.option(fc.nat(12)),
  leavesBy: fc.constantFrom('abort', 'return', 'both'),
  model: fc.constantFrom('answers', 'answers', 'refuses', 'breaks', 'stalls', 'stops short'),
  stage: fc.constantFrom('passes', 'passes', 'throws', 'throws late', 'cuts'),
  hasBudget: fc.boolean(),
})

class Rig {
  readonly clock = new FakeClock()
  readonly refusals: ErrorCode[] = []
  readonly ended: OnlineCall['requestId'][] = []
  readonly fates = new Map<string, Fate>()
  readonly online: OnlineModels
  readonly admission: Admission
  readonly budgets = new BudgetBook({ spentSince: () => this.clock.sleep(1).then(() => 0n) })
  readonly openReservations = new Set<string>()
  readonly settledReservations: string[] = []
  readonly metering: Metering
  spent = 0n
  numRunning = 0

  constructor() {
    const { clock, budgets } = this
    const random = new SeededRandom(1)
    const models = directoryOf(
      ...['chat', 'other'].map((name) => new FakeModel({ name, script: ({ requestId }, signal) => this.answer(requestId, signal) })),
    )
    const route = {
      ...ROUTE_DEFAULTS,
      name: 'route',
      variants: [{ model: 'chat', weight: 1 }],
      fallbacks: [{ model: 'other', on: ['failed', 'timeout'] as const }],
    }
    const routes = [{ ...route, firstPieceTimeoutMs: 60, hedge: { quantile: 0.9, minDelayMs: 30 } }]
    this.admission = new Admission({
      config: admissionSection.parse({ capacity: { '*': { maxRunning: 2 } }, maxWaiting: 4, maxWaitS: 1 }),
      terms: { queueOf: (name) => name, candidates: (name) => [name], contextLength: () => 4096, maxSequences: () => 2 },
      prices: PRICES,
      budgets,
      reservations: new ReservationLog({
        insert: async (group) => {
          await clock.sleep(STEP_MS)
          for (const { id } of group) this.openReservations.add(id)
        },
        forget: async (ids) => ids.forEach((id) => this.openReservations.delete(id)),
      }),
      requestTimeoutMs: 600_000,
      clock,
      random,
    })
    this.metering = new Metering({
      prices: PRICES,
      ledger: {
        hasRoom: true,
        add: ({ record, reservationId }) => {
          this.ended.push(record.requestId)
          this.spent += record.cost
          if (reservationId !== null) this.openReservations.delete(reservationId)
        },
      },
      settlement: this.admission,
      observers: [{ onCall: () => {}, onRefusal: (_code, { requestId }) => this.ended.push(requestId) }],
      clock,
    })
    this.online = onlinePath({
      metering: this.metering,
      admission: this.admission,
      stages: [{ name: 'hostile', stage: this.stage }],
      guardEmbedding: null,
      routing: routingHandler({ models, routes, clock, random }),
      marks: null,
    })
  }

  private readonly stage: Stage = (next) => (call, signal) => {
    const { stage } = this.fates.get(call.requestId)!
    if (stage === 'throws') throw new InferdError('invalid_parameter', 'thrown by the stage')
    return this.hostile(stage, next(call, signal))
  }

  private async *hostile(stage: Fate['stage'], events: AsyncIterable<GenerateEvent>): AsyncGenerator<GenerateEvent> {
    for await (const event of events) {
      if (stage === 'throws late' && event.type === 'text-delta') throw new Error('a fault of the stage')
      yield event
      if (stage === 'cuts' && event.type === 'text-delta') return
    }
  }

  private async *answer(requestId: string, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
    const { model } = this.fates.get(requestId)!
    this.numRunning++
    try {
      await this.clock.sleep(STEP_MS, signal)
      if (model === 'refuses') throw new InferdError('overloaded', 'refused')
      for (const event of ANSWER) {
        if (model === 'breaks' && event.type === 'choice-end') throw new InferdError('replica_lost', 'broke')
        if (model === 'stops short' && event.type === 'choice-end') return
        await this.clock.sleep(model === 'stalls' ? 2000 : STEP_MS, signal)
        yield event
      }
    } finally {
      this.numRunning--
    }
  }
}

async function live(rig: Rig, fate: Fate, index: number): Promise<void> {
  const requestId = `call ${index}`
  rig.fates.set(requestId, fate)
  const caller = new AbortController()
  const limits = fate.hasBudget ? LIMITS : { maxConcurrentRequests: LIMITS.maxConcurrentRequests }
  const call = callOf({ requestId, limits, model: index % 2 === 0 ? 'chat' : 'route', arrivedMs: rig.clock.nowMs() })
  const events = rig.online.generate(call, caller.signal)[Symbol.asyncIterator]()
  let hasLeft = false
  const read = async (): Promise<void> => {
    try {
      while (!hasLeft) if ((await events.next()).done === true) break
    } catch {
      // The caller is told; here only what is left behind counts.
    }
    await events.return?.()
  }
  const reading = read()
  if (fate.leavesAfter !== null) {
    await rig.clock.sleep(fate.leavesAfter * 5)
    hasLeft = true
    if (fate.leavesBy !== 'return') caller.abort(new InferdError('cancelled', 'the caller left'))
    if (fate.leavesBy !== 'abort') await events.return?.()
  }
  await reading
}

test('whatever becomes of its calls, nothing stays held, and each has one record or one refusal', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(FATE, { minLength: 1, maxLength: 14 }), async (fates) => {
      const rig = new Rig()
      const lives: Promise<void>[] = []
      for (const [index, fate] of fates.entries()) {
        for (let step = 0; step < fate.arrivesAfter; step++) await rig.clock.advance(5)
        lives.push(live(rig, fate, index))
      }
      for (let step = 0; step < 120; step++) await rig.clock.advance(step < 60 ? 5 : 500)
      await Promise.all(lives)
      await settle()
      rig.admission.checkInvariants()
      expect(rig.ended.toSorted()).toEqual(fates.map((_, index) => `call ${index}`).toSorted())
      expect(rig.admission.numHolds).toBe(0)
      for (const { numRunning, runningTokens, numWaiting, waitingTokens } of rig.admission.figures)
        expect([numRunning, runningTokens, numWaiting, waitingTokens]).toEqual([0, 0, 0, 0])
      expect([rig.numRunning, rig.openReservations.size]).toEqual([0, 0])
      const mark = rig.metering.busy.begin('chat', rig.clock.nowMs())
      await rig.clock.advance(10)
      expect(rig.metering.busy.end('chat', mark, rig.clock.nowMs())).toBeCloseTo(10)
      await expectFullRoom(rig)
    }),
    { seed: 4, numRuns: 150 },
  )
})

/** As many calls as may run at a time still may, and all the money that was not spent can be reserved. */
async function expectFullRoom(rig: Rig): Promise<void> {
  const { principal } = callOf({ limits: LIMITS })
  const lines = rig.budgets.linesOf(principal, rig.clock.wallMs())
  const loading = rig.budgets.load(lines)
  await rig.clock.advance(5)
  await loading
  expect(lines.map(({ account }) => account.reserved)).toEqual([0n])
  const calls = Array.from({ length: LIMITS.maxConcurrentRequests }, (_, index) =>
    callOf({ requestId: `last ${index}`, limits: { maxConcurrentRequests: LIMITS.maxConcurrentRequests }, model: `fresh ${index}` }),
  )
  for (const call of calls) expect(rig.admission.admit(call, new AbortController().signal)).toBeNull()
}
