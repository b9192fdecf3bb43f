/**
 * Splits the busy time of each model between the calls that run on it: a millisecond in which n calls run counts 1/n for each. The sum
 * over the calls is the time in which any ran; idle time is nobody's.
 */
interface ModelTime {
  numRunning: number
  /** Integral of 1/n over the time in which n > 0 calls run. */
  sharedMs: number
  updatedMs: number
}

export class BusyShares {
  private readonly models = new Map<string, ModelTime>()

  /** Returns the mark that `end` takes. */
  begin(model: string, nowMs: number): number {
    let time = this.models.get(model)
    if (time === undefined) {
      time = { numRunning: 0, sharedMs: 0, updatedMs: nowMs }
      this.models.set(model, time)
    }
    advance(time, nowMs)
    time.numRunning++
    return time.sharedMs
  }

  /** The call's share in milliseconds. */
  end(model: string, mark: number, nowMs: number): number {
    const time = this.models.get(model)
    if (time === undefined) return 0
    advance(time, nowMs)
    time.numRunning--
    const share = time.sharedMs - mark
    if (time.numRunning === 0) this.models.delete(model)
    return share
  }
}

function advance(time: ModelTime, nowMs: number): void {
  if (time.numRunning > 0) time.sharedMs += Math.max(0, nowMs - time.updatedMs) / time.numRunning
  time.updatedMs = nowMs
}
