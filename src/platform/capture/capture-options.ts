/** Bounds of what capturing holds in memory and how long it tries. */

export interface CaptureOptions {
  /** Of one body; what is longer is cut there and says so. */
  readonly maxBodyBytes: number
  /** Of one variant: records that wait to be written. */
  readonly maxLaneBytes: number
  /** Of all variants, and of answers that are still being given. */
  readonly maxHeldBytes: number
  /** A batch of so many bytes or records is written. */
  readonly batchBytes: number
  readonly batchRecords: number
  /** A batch is written so long after its first record at the latest. */
  readonly flushMs: number
  /** Of one attempt to write. */
  readonly writeTimeoutMs: number
  /** Between attempts: doubled from the first to the last. */
  readonly retryMs: number
  readonly maxRetryMs: number
}

export const DEFAULT_CAPTURE_OPTIONS: CaptureOptions = {
  maxBodyBytes: 2 ** 20,
  maxLaneBytes: 16 * 2 ** 20,
  maxHeldBytes: 64 * 2 ** 20,
  batchBytes: 2 ** 20,
  batchRecords: 1000,
  flushMs: 10_000,
  writeTimeoutMs: 30_000,
  retryMs: 500,
  maxRetryMs: 30_000,
}

/** What becomes of records, counted. Must not throw. */
export interface CaptureWatch {
  onWritten(place: CaptureLabels, numRecords: number): void
  /** full: more than may wait. refused: the store will never take it. shutdown: not written before the server's end. */
  onDropped(place: CaptureLabels, numRecords: number, reason: 'full' | 'refused' | 'shutdown'): void
  /** Of one body. */
  onTruncated(place: CaptureLabels): void
  /** Of one attempt to write. */
  onFailure(place: CaptureLabels): void
  onHeld(numBytes: number): void
}

interface CaptureLabels {
  readonly endpoint: string
  readonly variant: string
}
