/** Callers of endpoints, and what may become of their calls: an error needs a cause that the world knows of. */
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import type { SeededRandom } from '#base/random'
import type { OnlineCall } from '#contract/call'
import { InferdError, toErrorRecord } from '#contract/errors'
import type { RoutingHandler } from '#platform/routing/routing-handler'
import { callOf } from './online-call.ts'
import type { PlayedWorker, WorkerJournal } from './played-worker.ts'

/** What the world did to the units of one endpoint that a caller may notice. Times on the clock; -Infinity = never. */
export interface EndpointTrouble {
  /** A worker was lost or could not load. */
  readonly workerMs: number
  /** A unit was let go of. */
  readonly retiredMs: number
  /** It has a unit that sleeps, whose memory others may have. */
  readonly mayLackRoom: boolean
}

export interface UnitCallersParts {
  readonly routing: RoutingHandler
  readonly clock: Clock
  readonly random: SeededRandom
  readonly holdMs: number
  /** Workers fail, and the clock jumps: a caller may be held for too long. */
  readonly mayWait: boolean
  readonly troubleOf: (endpoint: string) => EndpointTrouble
  /** Rejects when a law was broken. */
  readonly onEnd: (end: Promise<void>) => void
}

interface WorldCall {
  readonly call: OnlineCall
  readonly startedMs: number
  readonly controller: AbortController
  /** That took it last; nobody may have it beside it. */
  worker: PlayedWorker | null
  hasBegun: boolean
}

/** The longest rest after a start that failed, in which the reason is told. */
const REST_MS = 300_000
const NUM_PROMPTS = 6

export class UnitCallers implements WorkerJournal {
  readonly outcomes = new Map<string, number>()
  numCalls = 0
  private readonly parts: UnitCallersParts
  private readonly open = new Map<string, WorldCall>()

  constructor(parts: UnitCallersParts) {
    this.parts = parts
  }

  get numOpen(): number {
    return this.open.size
  }

  call(endpoint: string): void {
    const { clock, random } = this.parts
    const requestId = `r${++this.numCalls}`
    const call = callOf({ model: endpoint, requestId, text: `prompt ${random.nextInt(NUM_PROMPTS)}`, arrivedMs: clock.nowMs() })
    const one: WorldCall = { call, startedMs: clock.nowMs(), controller: new AbortController(), worker: null, hasBegun: false }
    this.open.set(requestId, one)
    this.parts.onEnd(this.outcomeOf(one).then((outcome) => this.end(one, outcome)))
  }

  abortSome(): void {
    const all = [...this.open.values()]
    if (all.length > 0) all[this.parts.random.nextInt(all.length)]!.controller.abort(new InferdError('cancelled', 'the caller left'))
  }

  onTaken(worker: PlayedWorker, requestId: string): void {
    const one = this.open.get(requestId)
    assert(one !== undefined && !one.controller.signal.aborted, `${requestId}: a worker takes a call that is over`)
    assert(!one.hasBegun, `${requestId}: a call that had begun is begun again`)
    assert(one.worker === null || one.worker.state === 'gone' || !one.worker.has(requestId), `${requestId}: two workers have one call`)
    assert(worker.state === 'ready', `${requestId}: is given to a worker that is ${worker.state}`)
    one.worker = worker
  }

  onBegun(requestId: string): void {
    const one = this.open.get(requestId)
    if (one !== undefined) one.hasBegun = true
  }

  private async outcomeOf({ call, controller }: WorldCall): Promise<string> {
    let numEnds = 0
    let outcome = 'nothing'
    try {
      for await (const event of this.parts.routing.generate(call, controller.signal)) {
        if (event.type === 'response-end' || event.type === 'response-error') numEnds++
        outcome = event.type === 'response-error' ? event.error.code : event.type
      }
      assert(numEnds === 1, `${call.requestId}: has ${numEnds} ends`)
      return outcome
    } catch (error) {
      return toErrorRecord(error).code
    }
  }

  private end(one: WorldCall, outcome: string): void {
    assert(this.open.delete(one.call.requestId), `${one.call.requestId}: ends twice`)
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
    if (outcome === 'response-end' || one.controller.signal.aborted) return
    assert(this.isExcused(one, outcome), `${one.call.requestId} of ${one.call.model}: ${outcome}, for no reason`)
  }

  private isExcused({ call, startedMs }: WorldCall, outcome: string): boolean {
    const { clock, holdMs, mayWait, troubleOf } = this.parts
    const { workerMs, retiredMs, mayLackRoom } = troubleOf(call.model)
    switch (outcome) {
      case 'replica_lost':
      case 'invalid_model_file':
        return workerMs >= startedMs - REST_MS
      case 'model_loading':
        return clock.nowMs() - startedMs >= holdMs && (mayWait || mayLackRoom)
      case 'model_not_found':
        return retiredMs >= startedMs
      case 'insufficient_memory':
        return mayLackRoom
      default:
        return false
    }
  }
}
