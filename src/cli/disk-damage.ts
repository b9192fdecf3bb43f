/**
 * The one place that hears of disks that failed: a sync that the kernel refused may have lost what it said to have, and says so once. A
 * server that knows of one ends, so that its next start looks at what the disk really holds.
 */
import { InferdError } from '#contract/errors'
import type { Log } from '#telemetry/log'

/** `what`: as in "the store", told to the operator. */
export type TellDamage = (what: string, cause: unknown) => void

export class DiskDamage {
  private readonly log: Pick<Log, 'error'>
  private readonly controller = new AbortController()

  constructor(log: Pick<Log, 'error'>) {
    this.log = log
  }

  /** Aborts at the first one; its reason is store_failed, in words for the operator. */
  get signal(): AbortSignal {
    return this.controller.signal
  }

  readonly tell: TellDamage = (what, cause) => {
    this.log.error({ err: cause }, `the disk of ${what} failed: the server ends`)
    const words = `the disk of ${what} failed (${wordsOf(cause)}): look at it, and start inferd again`
    this.controller.abort(new InferdError('store_failed', words, { cause }))
  }
}

function wordsOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
