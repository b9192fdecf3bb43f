/** Models of one machine, their callers and their processes, moved by chance on a clock that stands still or jumps. */
import { assert } from '#base/assert'
import { settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import type { StopReason } from '#platform/endpoints/decide-lifecycle'
import { Lifecycle, type LifecycleOptions } from '#platform/endpoints/lifecycle'
import { isIdle, isKept, type ModelRow } from '#platform/endpoints/model-row'
import { JumpingClock } from './jumping-clock.ts'

interface SimulatedCall {
  readonly row: ModelRow
  readonly controller: AbortController
  state: 'held' | 'runs' | 'ended'
  outcome: string
}

export interface SimulationCounts {
  numCalls: number
  numStarts: number
  numStops: number
  numFailures: number
  numDrains: number
  readonly outcomes: Map<string, number>
}

const MIB = 2 ** 20
const BUDGET_BYTES = 1000 * MIB
const IDLE_MS = 5_000

export const SIMULATED_OPTIONS: LifecycleOptions = {
  budgetBytes: BUDGET_BYTES,
  fairWaitMs: 2_000,
  residencyMs: 1_000,
  maxHeldCalls: 32,
  holdMs: 20_000,
}

export class LifecycleSimulation {
  readonly counts: SimulationCounts = { numCalls: 0, numStarts: 0, numStops: 0, numFailures: 0, numDrains: 0, outcomes: new Map() }
  readonly lifecycle: Lifecycle
  readonly rows: ModelRow[] = []
  private readonly random: SeededRandom
  private readonly clock = new JumpingClock()
  /** The world's own record of who has a process. */
  private readonly processes = new Map<ModelRow, 'starting' | 'ready' | 'ending'>()
  private readonly calls = new Set<SimulatedCall>()
  private stopReason: StopReason | 'failed' | null = null

  constructor(seed: number, numModels: number) {
    this.random = new SeededRandom(seed)
    this.lifecycle = new Lifecycle(SIMULATED_OPTIONS, {
      clock: this.clock,
      start: (row) => this.onStart(row),
      stop: (row) => this.onStop(row),
      observer: { onCall: () => {}, onStop: (_, reason) => (this.stopReason = reason), onProblem: () => {} },
    })
    for (let index = 0; index < numModels; index++) {
      const needBytes = index === 3 ? 2 * BUDGET_BYTES : (50 + this.random.nextInt(300)) * MIB
      const wanted = index === 0 ? ('awake' as const) : ('on-demand' as const)
      this.rows.push(this.lifecycle.register({ name: `m${index}`, wanted, isPinned: index === 1, idleTimeoutMs: IDLE_MS, needBytes }))
    }
  }

  /** One thing that may happen, then every law. */
  async step(): Promise<void> {
    const dice = this.random.nextInt(100)
    if (dice < 40) this.call(this.someRow())
    else if (dice < 41) for (let n = 0; n < 40; n++) this.call(this.rows[4]!)
    else if (dice < 58) this.endSome()
    else if (dice < 61) this.abortSome()
    else if (dice < 75) this.moveSomeProcess(0.1)
    else if (dice < 77) this.killSomeProcess()
    else if (dice < 79) this.wantSome()
    else if (dice < 80) this.clock.jump(this.random.nextInt(60_000))
    else await this.clock.inner.advance(this.random.nextInt(400))
    if (dice % 8 === 0) await settle()
    this.check()
  }

  /** No new calls and no more failures: what is left comes to its end, and then nothing happens any more. */
  async comeToRest(): Promise<void> {
    for (const row of this.rows) if (row.wanted === 'gone') this.lifecycle.want(row, 'on-demand')
    for (let round = 0; round < 600; round++) {
      this.endSome()
      for (let n = 0; n < this.rows.length; n++) this.moveSomeProcess(0)
      await this.clock.inner.advance(500)
      this.check()
    }
    for (const call of this.calls) assert(call.state === 'ended', `${call.row.name}: a call was forgotten`)
    for (const row of this.rows) {
      const fits = (row.needBytes ?? 0) <= BUDGET_BYTES
      const mayStay = isKept(row) && fits
      assert(row.phase === 'cold' || mayStay, `${row.name}: an idle model does not sleep: ${row.phase}`)
      assert(row.wanted !== 'awake' || row.phase === 'ready', `${row.name}: is wanted awake and is ${row.phase}`)
      assert((row.phase === 'cold') === !this.processes.has(row), `${row.name}: the row tells the truth about its process`)
    }
    const { numStarts, numStops } = this.counts
    await this.clock.inner.advance(60_000)
    assert(this.counts.numStarts === numStarts && this.counts.numStops === numStops, 'at rest nothing starts or stops')
  }

  private call(row: ModelRow): void {
    this.counts.numCalls++
    const call: SimulatedCall = { row, controller: new AbortController(), state: 'held', outcome: '' }
    try {
      const waiting = this.lifecycle.enter(row, call.controller.signal)
      this.calls.add(call)
      if (waiting === null) {
        assert(this.processes.get(row) === 'ready', `${row.name}: a call runs without a process that is ready`)
        call.state = 'runs'
      } else {
        void waiting.then(
          () => this.letIn(call),
          (error: unknown) => this.end(call, codeOf(error)),
        )
      }
    } catch (error) {
      this.count(codeOf(error))
    }
  }

  private letIn(call: SimulatedCall): void {
    call.state = 'runs'
    if (call.controller.signal.aborted) this.leave(call, 'aborted')
  }

  private leave(call: SimulatedCall, outcome: string): void {
    this.end(call, outcome)
    this.lifecycle.leave(call.row)
  }

  private end(call: SimulatedCall, outcome: string): void {
    assert(call.state !== 'ended', `${call.row.name}: a call has two ends`)
    call.state = 'ended'
    this.calls.delete(call)
    this.count(outcome)
  }

  private endSome(): void {
    for (const call of this.calls) if (call.state === 'runs' && this.random.nextInt(3) > 0) this.leave(call, 'answered')
  }

  private abortSome(): void {
    const call = this.pick([...this.calls])
    if (call === null) return
    const wasRunning = call.state === 'runs'
    call.controller.abort(new InferdError('cancelled', 'the caller left'))
    if (wasRunning) this.leave(call, 'aborted')
  }

  private moveSomeProcess(failureShare: number): void {
    const entry = this.pick([...this.processes])
    if (entry === null) return
    const [row, state] = entry
    if (state === 'ending') {
      this.processes.delete(row)
      this.lifecycle.stopped(row)
    } else if (state === 'starting' && this.random.nextInt(100) < failureShare * 100) {
      this.counts.numFailures++
      this.lifecycle.failed(row, new InferdError('replica_lost', 'the worker ended'))
    } else if (state === 'starting') {
      this.processes.set(row, 'ready')
      this.lifecycle.ready(row)
    }
  }

  /** As a replica has it: the calls that ran are lost, and a new process is started in its place, or none. */
  private killSomeProcess(): void {
    const entry = this.pick([...this.processes].filter(([, state]) => state === 'ready'))
    if (entry === null) return
    const [row] = entry
    this.processes.set(row, 'starting')
    this.lifecycle.restarting(row)
    if (this.random.nextInt(4) === 0) this.lifecycle.failed(row, new InferdError('replica_lost', 'the worker ended'))
    for (const call of this.calls) if (call.row === row && call.state === 'runs') this.leave(call, 'lost')
  }

  private wantSome(): void {
    const row = this.rows[5]!
    this.lifecycle.want(row, row.wanted === 'gone' ? 'on-demand' : 'gone')
  }

  private onStart(row: ModelRow): void {
    assert(!this.processes.has(row), `${row.name}: two owners`)
    assert(row.wanted === 'awake' || row.numHeld > 0, `${row.name}: started for nobody`)
    this.counts.numStarts++
    this.processes.set(row, 'starting')
  }

  private onStop(row: ModelRow): void {
    const state = this.processes.get(row)
    assert(state === 'starting' || state === 'ready', `${row.name}: stopped twice`)
    if (this.stopReason !== 'failed') assert(row.numRunning === 0, `${row.name}: stopped under a call`)
    if (this.stopReason === 'idle' || this.stopReason === 'evicted') assert(!isKept(row), `${row.name}: pinned and stopped`)
    if (this.stopReason === 'idle') assert(isIdle(row), `${row.name}: put to sleep under a caller`)
    this.counts.numStops++
    this.processes.set(row, 'ending')
  }

  private check(): void {
    this.lifecycle.checkInvariants()
    let bytes = 0
    for (const row of this.processes.keys()) bytes += row.needBytes ?? 0
    assert(bytes <= BUDGET_BYTES, 'the processes take more than the budget')
    for (const row of this.rows) if (row.phase === 'draining') this.counts.numDrains++
  }

  /** Few models have most of the calls. */
  private someRow(): ModelRow {
    const draw = this.random.nextFloat()
    return this.rows[Math.floor(draw * draw * this.rows.length)]!
  }

  private pick<T>(items: readonly T[]): T | null {
    return items.length === 0 ? null : items[this.random.nextInt(items.length)]!
  }

  private count(outcome: string): void {
    this.counts.outcomes.set(outcome, (this.counts.outcomes.get(outcome) ?? 0) + 1)
  }
}

function codeOf(error: unknown): string {
  if (error instanceof InferdError) return error.code
  throw error
}
