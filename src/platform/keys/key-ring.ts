/**
 * The keys that a running server has seen lately, each at most KEY_TTL_MS old: that long at most a revoked key still opens, whoever
 * revoked it. Only keys that exist are kept, so that guesses push nobody out. Times of last use are written in batches.
 */
import type { Clock } from '#base/clock'
import { hasKeyRows, selectKey, updateLastUsed } from '#platform/store/keys-table'
import type { Store } from '#platform/store/open-store'
import { type ProvableKey, toProvableKey } from './key-record.ts'

interface Entry {
  key: ProvableKey
  readMs: number
}

export interface KeyRingParts {
  readonly store: Pick<Store, 'db'>
  readonly clock: Clock
  /** A batch of times could not be written; they are tried again. */
  readonly onWriteFailure: (error: unknown) => void
}

export const KEY_TTL_MS = 5000
const MAX_ENTRIES = 10_000
const WRITE_INTERVAL_MS = 30_000

export class KeyRing {
  private readonly parts: KeyRingParts
  /** In order of last use. At most MAX_ENTRIES. */
  private readonly entries = new Map<string, Entry>()
  private readonly reads = new Map<string, Promise<ProvableKey | null>>()
  /** Wall clock, by id; written and emptied by `flush`. */
  private uses = new Map<string, number>()
  private anyKey: { readonly isThere: boolean; readonly readMs: number } | null = null
  private readonly closing = new AbortController()
  private readonly writing: Promise<void>

  constructor(parts: KeyRingParts) {
    this.parts = parts
    this.writing = this.writeInBatches()
  }

  /** null = there is no such key. Throws store_failed. */
  async find(id: string): Promise<ProvableKey | null> {
    const entry = this.entries.get(id)
    if (entry !== undefined && this.parts.clock.nowMs() - entry.readMs < KEY_TTL_MS) {
      this.entries.delete(id)
      this.entries.set(id, entry)
      return entry.key
    }
    let reading = this.reads.get(id)
    if (reading === undefined) {
      reading = this.read(id).finally(() => this.reads.delete(id))
      this.reads.set(id, reading)
    }
    return reading
  }

  /** It existed when it was last looked at. */
  isKnown(id: string): boolean {
    return this.entries.has(id)
  }

  /** Whether any key was ever made: once true it stays so, because keys are never deleted. */
  async hasKeys(): Promise<boolean> {
    const nowMs = this.parts.clock.nowMs()
    if (this.anyKey !== null && (this.anyKey.isThere || nowMs - this.anyKey.readMs < KEY_TTL_MS)) return this.anyKey.isThere
    const isThere = await hasKeyRows(this.parts.store.db)
    this.anyKey = { isThere, readMs: nowMs }
    return isThere
  }

  noteUse(id: string): void {
    this.uses.set(id, this.parts.clock.wallMs())
  }

  /** Writes what is left; the ring is of no use afterwards. */
  async close(): Promise<void> {
    this.closing.abort()
    await this.writing
  }

  private async read(id: string): Promise<ProvableKey | null> {
    const readMs = this.parts.clock.nowMs()
    const row = await selectKey(this.parts.store.db, id)
    this.entries.delete(id)
    if (row === null) return null
    const key = toProvableKey(row)
    this.entries.set(id, { key, readMs })
    if (this.entries.size > MAX_ENTRIES) {
      const [oldest] = this.entries.keys()
      if (oldest !== undefined) this.entries.delete(oldest)
    }
    return key
  }

  private async writeInBatches(): Promise<void> {
    const { clock } = this.parts
    while (!this.closing.signal.aborted) {
      await clock.sleep(WRITE_INTERVAL_MS, this.closing.signal).catch(() => {})
      await this.flush()
    }
  }

  private async flush(): Promise<void> {
    const uses = this.uses
    if (uses.size === 0) return
    this.uses = new Map()
    try {
      await updateLastUsed(this.parts.store.db, uses)
    } catch (error) {
      for (const [id, usedMs] of uses) if (!this.uses.has(id)) this.uses.set(id, usedMs)
      this.parts.onWriteFailure(error)
    }
  }
}
