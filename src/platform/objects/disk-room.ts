/**
 * A floor under the free space of the disk of a folder: below it nothing new is accepted, so that what was accepted can be ended and written
 * down. It is no file that is kept free: other programs on the disk may use it up.
 */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { Disk } from './disk.ts'

export interface DiskRoomOptions {
  readonly disk: Pick<Disk, 'space'>
  readonly folder: string
  /** At most a tenth of the disk is asked for. */
  readonly floorBytes: number
  readonly clock: Pick<Clock, 'nowMs'>
  /** Nothing is accepted from now on, or again. */
  readonly onChange: (isShort: boolean, freeBytes: number) => void
}

const LOOK_MS = 1000
const LARGEST_SHARE = 0.1
const RETRY_AFTER_MS = 10_000
const MIB = 2 ** 20
/** What comes in looks again after so much. */
const STRIDE_BYTES = 8 * MIB

export class DiskRoom {
  private readonly options: DiskRoomOptions
  private lookedMs = Number.NEGATIVE_INFINITY
  private looking: Promise<void> = Promise.resolve()
  private shortage: InferdError | null = null

  constructor(options: DiskRoomOptions) {
    this.options = options
  }

  /** Throws overloaded below the floor. A disk that does not say how full it is is written to until it refuses. */
  async require(): Promise<void> {
    const nowMs = this.options.clock.nowMs()
    if (nowMs - this.lookedMs >= LOOK_MS) {
      this.lookedMs = nowMs
      this.looking = this.look()
    }
    await this.looking
    if (this.shortage !== null) throw this.shortage
  }

  /** The same bytes, as long as there is room for them. */
  async *while(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const stride = this.stride()
    for await (const chunk of chunks) {
      await stride(chunk.length)
      yield chunk
    }
  }

  /** To be told of each piece before it is written. */
  stride(): (numBytes: number) => Promise<void> {
    let sinceBytes = STRIDE_BYTES
    return async (numBytes) => {
      sinceBytes += numBytes
      if (sinceBytes < STRIDE_BYTES) return
      sinceBytes = 0
      await this.require()
    }
  }

  private async look(): Promise<void> {
    const { disk, folder, floorBytes, onChange } = this.options
    const space = await disk.space(folder).catch(() => null)
    if (space === null) return
    const floor = Math.min(floorBytes, space.totalBytes * LARGEST_SHARE)
    const isShort = space.freeBytes < floor
    if (isShort !== (this.shortage !== null)) onChange(isShort, space.freeBytes)
    this.shortage = isShort ? shortageOf(space.freeBytes, floor) : null
  }
}

function shortageOf(freeBytes: number, floor: number): InferdError {
  const words = `the disk has ${Math.floor(freeBytes / MIB)} MiB free, and nothing new is accepted below ${Math.ceil(floor / MIB)} MiB`
  return new InferdError('overloaded', words, { retryAfterMs: RETRY_AFTER_MS })
}
