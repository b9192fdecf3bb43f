/**
 * The audit log of a data directory: what was done to keys and what was refused to callers, in `audit.jsonl`. Lines are written and
 * synced in groups, by one process at a time; the end of the chain is kept in the store.
 */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Clock } from '#base/clock'
import { errnoOf } from '#platform/objects/disk-errors'
import { moveAuditHead } from '#platform/store/audit-table'
import type { Store } from '#platform/store/open-store'
import { type AuditEvent, type ChainEnd, chainLine, endOfLine } from './audit-chain.ts'

export interface AuditLogParts {
  readonly store: Pick<Store, 'db'>
  readonly dataDir: string
  readonly clock: Clock
  /** A group could not be written; it is tried again. */
  readonly onWriteFailure: (error: unknown) => void
  /** The disk failed: nothing is written any more until a restart. */
  readonly onDamage: (error: unknown) => void
}

interface Waiting {
  readonly wallMs: number
  readonly event: AuditEvent
}

const FILE_NAME = 'audit.jsonl'
const GROUP_INTERVAL_MS = 1000
const MAX_WAITING = 10_000
const OWNER_ONLY = 0o600
/** Longer than any line: details are bounded by whoever records them. */
const TAIL_BYTES = 262_144
const NEWLINE = 0x0a

export function auditFileOf(dataDir: string): string {
  return path.join(dataDir, FILE_NAME)
}

export class AuditLog {
  private readonly parts: AuditLogParts
  private waiting: Waiting[] = []
  private numLost = 0
  private damage: unknown = null
  private readonly closing = new AbortController()
  private readonly writing: Promise<void>
  private flushing: Promise<void> = Promise.resolve()

  constructor(parts: AuditLogParts) {
    this.parts = parts
    this.writing = this.writeInGroups()
  }

  /** Written within a second. What does not fit is counted, and the count is written. */
  record(event: AuditEvent): void {
    if (this.waiting.length >= MAX_WAITING) this.numLost++
    else this.waiting.push({ wallMs: this.parts.clock.wallMs(), event })
  }

  /** Resolves when what was recorded is on the disk. Throws store_failed, or what the file system says. */
  flush(): Promise<void> {
    const turn = this.flushing.then(() => this.write())
    this.flushing = turn.catch(() => {})
    return turn
  }

  /** Throws like flush. */
  async close(): Promise<void> {
    this.closing.abort()
    await this.writing
    await this.flush()
  }

  private async writeInGroups(): Promise<void> {
    const { clock, onWriteFailure } = this.parts
    while (!this.closing.signal.aborted) {
      await clock.sleep(GROUP_INTERVAL_MS, this.closing.signal).catch(() => {})
      if (this.waiting.length > 0) await this.flush().catch(onWriteFailure)
    }
  }

  private async write(): Promise<void> {
    if (this.damage !== null) throw this.damage
    if (this.waiting.length === 0) return
    const group = this.waiting
    const numLost = this.numLost
    this.waiting = []
    this.numLost = 0
    if (numLost > 0) group.push({ wallMs: this.parts.clock.wallMs(), event: { event: 'audit.lost', actor: 'inferd', details: { events: numLost } } })
    try {
      await moveAuditHead(this.parts.store.db, (head) => append(auditFileOf(this.parts.dataDir), head, group))
    } catch (error) {
      this.waiting = [...group, ...this.waiting]
      if (errnoOf(error) === 'EIO') {
        this.damage = error
        this.parts.onDamage(error)
      }
      throw error
    }
  }
}

/** A writer that was killed may have left lines after `head`, or a piece of one. */
function append(file: string, head: ChainEnd, group: readonly Waiting[]): ChainEnd {
  const descriptor = openSync(file, 'a+', OWNER_ONLY)
  try {
    const { size } = fstatSync(descriptor)
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES))
    readSync(descriptor, tail, 0, tail.length, size - tail.length)
    const isTorn = tail.length > 0 && tail.at(-1) !== NEWLINE
    const last = tail
      .toString()
      .trimEnd()
      .split('\n')
      .map(endOfLine)
      .findLast((line) => line !== null)
    let end = last !== undefined && last !== null && last.sequence > head.sequence ? last : head
    let text = isTorn ? '\n' : ''
    for (const { wallMs, event } of group) {
      const next = chainLine(end, wallMs, event)
      text += `${next.line}\n`
      end = next.end
    }
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
    return end
  } finally {
    closeSync(descriptor)
  }
}
