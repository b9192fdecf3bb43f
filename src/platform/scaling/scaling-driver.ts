/** The autoscaler of a store, which runs while this server decides: another one begins with nothing but what the store has. */
import type { Clock } from '#base/clock'
import type { Autoscaler } from './autoscaler.ts'

export class ScalingDriver {
  private readonly make: () => Autoscaler
  private readonly clock: Pick<Clock, 'wallMs'>
  private scaler: Autoscaler | null = null
  private halted: Promise<unknown> = Promise.resolve()

  constructor(make: () => Autoscaler, clock: Pick<Clock, 'wallMs'>) {
    this.make = make
    this.clock = clock
  }

  /** What was due in the last `lookBackMs` is done, too. */
  drive(lookBackMs: number): void {
    this.scaler = this.make()
    this.scaler.start(this.clock.wallMs() - lookBackMs)
  }

  halt(): void {
    this.halted = Promise.all([this.halted, this.scaler?.close()])
    this.scaler = null
  }

  async close(): Promise<void> {
    this.halt()
    await this.halted
  }
}
