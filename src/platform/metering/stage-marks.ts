/** When a call passed each stage on its way down: read by traces. Placed in the list of stages only where traces are on. */
import type { Clock } from '#base/clock'
import type { CallReport } from '#contract/call'
import type { CallHandler, Stage } from '#platform/online/stage'

export interface StageMark {
  /** The stage that begins here: `safety`; `attempt` once for each model that is tried. */
  readonly stage: string
  readonly model: string
  /** Monotonic. */
  readonly atMs: number
}

/** A call that is tried more often is not traced any finer. */
const MAX_MARKS = 32

export class StageMarks {
  private readonly marks = new WeakMap<CallReport, StageMark[]>()
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** A stage that notes that `stage` begins, and passes the events on untouched. */
  before(stage: string): Stage {
    return (next: CallHandler): CallHandler =>
      (call, signal) => {
        this.note(call.report, { stage, model: call.model })
        return next(call, signal)
      }
  }

  /** One attempt at a model. */
  attempt(model: string, next: CallHandler): CallHandler {
    return (call, signal) => {
      this.note(call.report, { stage: 'attempt', model })
      return next(call, signal)
    }
  }

  note(report: CallReport, { stage, model }: Pick<StageMark, 'stage' | 'model'>): void {
    const known = this.marks.get(report)
    const mark = { stage, model, atMs: this.clock.nowMs() }
    if (known === undefined) this.marks.set(report, [mark])
    else if (known.length < MAX_MARKS) known.push(mark)
  }

  of(report: CallReport): readonly StageMark[] {
    return this.marks.get(report) ?? []
  }
}
