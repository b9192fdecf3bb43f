/** The body of one request: read when first asked for, once, by whoever asks first: a signature check or the route. */
import type { IncomingMessage } from 'node:http'
import type { Clock } from '#base/clock'
import { type BodyLimits, readBody } from './body-reader.ts'
import { streamBody } from './body-stream.ts'
import type { MemoryBudget } from './memory-budget.ts'

export interface IncomingBodyArguments {
  readonly request: IncomingMessage
  readonly limits: BodyLimits
  readonly clock: Clock
  readonly memory: MemoryBudget
}

export class IncomingBody {
  private readonly args: IncomingBodyArguments
  private reading: Promise<Uint8Array> | null = null

  constructor(args: IncomingBodyArguments) {
    this.args = args
  }

  /** Throws like readBody. */
  read(): Promise<Uint8Array> {
    this.reading ??= readBody(this.args)
    return this.reading
  }

  /** In pieces; whole where somebody has read it before. Throws like streamBody. */
  async *stream(): AsyncGenerator<Uint8Array> {
    if (this.reading === null) yield* streamBody(this.args)
    else yield await this.reading
  }
}
