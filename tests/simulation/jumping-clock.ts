/** A clock whose time may pass without anybody being woken, as on a machine that was suspended. */
import type { Clock } from '#base/clock'
import { FakeClock } from '#base/fake-clock'

export class JumpingClock implements Clock {
  readonly inner = new FakeClock()
  private jumpedMs = 0

  nowMs(): number {
    return this.inner.nowMs() + this.jumpedMs
  }

  wallMs(): number {
    return this.inner.wallMs() + this.jumpedMs
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return this.inner.sleep(durationMs, signal)
  }

  jump(durationMs: number): void {
    this.jumpedMs += durationMs
  }
}
