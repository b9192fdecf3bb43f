/** Whole answers by key: the least recently used goes when there are too many bytes, the old are never given out. */
import type { Clock } from '#base/clock'
import type { GenerateEvent } from '#contract/generate'

export interface CachedAnswer {
  readonly events: readonly GenerateEvent[]
  readonly servedBy: string | null
}

interface Entry extends CachedAnswer {
  readonly bytes: number
  readonly storedMs: number
  readonly semantic: SemanticMark | null
}

export interface SemanticMark {
  readonly key: string
  /** Unit length. */
  readonly vector: Float32Array
}

export interface CacheLimits {
  readonly maxBytes: number
  /** Of one answer; a larger one is not kept. */
  readonly maxAnswerBytes: number
  readonly maxAgeMs: number
}

export interface ResponseCacheStats {
  readonly numEntries: number
  readonly bytes: number
  readonly numHits: number
  readonly numSemanticHits: number
  readonly numMisses: number
  readonly numStored: number
  readonly numEvicted: number
}

/** Entries of one semantic key that are compared; newest first. */
const MAX_COMPARED = 256

/** Invariants: `bytes` is the sum over `entries`; `entries` is in order of last use, oldest first; `byMeaning` names entries that exist. */
export class ResponseCache {
  private readonly clock: Clock
  private readonly limits: CacheLimits
  private readonly entries = new Map<string, Entry>()
  /** Semantic key -> keys of entries, oldest first. */
  private readonly byMeaning = new Map<string, Set<string>>()
  private bytes = 0
  private readonly counts = { numHits: 0, numSemanticHits: 0, numMisses: 0, numStored: 0, numEvicted: 0 }

  constructor(limits: CacheLimits, clock: Clock) {
    this.limits = limits
    this.clock = clock
  }

  get stats(): ResponseCacheStats {
    return { numEntries: this.entries.size, bytes: this.bytes, ...this.counts }
  }

  find(key: string, maxAgeMs: number): CachedAnswer | null {
    const entry = this.fresh(key, maxAgeMs)
    if (entry === null) return null
    this.counts.numHits++
    return entry
  }

  /** The nearest answer of the same semantic key, if it is near enough. */
  findSimilar(
    { key, vector }: SemanticMark,
    { threshold, maxAgeMs }: { readonly threshold: number; readonly maxAgeMs: number },
  ): CachedAnswer | null {
    let best: string | null = null
    let highest = threshold
    for (const candidate of [...(this.byMeaning.get(key) ?? [])].slice(-MAX_COMPARED)) {
      const similarity = dot(vector, this.entries.get(candidate)?.semantic?.vector ?? new Float32Array())
      if (similarity >= highest && this.isFresh(candidate, maxAgeMs)) [best, highest] = [candidate, similarity]
    }
    if (best === null) return null
    this.counts.numSemanticHits++
    return this.fresh(best, maxAgeMs)
  }

  miss(): void {
    this.counts.numMisses++
  }

  store(key: string, answer: CachedAnswer, semantic: SemanticMark | null): void {
    const bytes = 2 * JSON.stringify(answer.events).length + (semantic === null ? 0 : semantic.vector.byteLength)
    if (bytes > Math.min(this.limits.maxAnswerBytes, this.limits.maxBytes)) return
    this.remove(key)
    this.entries.set(key, { ...answer, bytes, storedMs: this.clock.nowMs(), semantic })
    this.bytes += bytes
    this.counts.numStored++
    if (semantic !== null) this.mark(semantic.key, key)
    for (const oldest of this.entries.keys()) {
      if (this.bytes <= this.limits.maxBytes) break
      this.remove(oldest)
      this.counts.numEvicted++
    }
  }

  private mark(meaning: string, key: string): void {
    const keys = this.byMeaning.get(meaning) ?? new Set()
    keys.add(key)
    this.byMeaning.set(meaning, keys)
  }

  /** Moves the entry to the young end. */
  private fresh(key: string, maxAgeMs: number): Entry | null {
    const entry = this.entries.get(key)
    if (entry === undefined || !this.isFresh(key, maxAgeMs)) return null
    this.entries.delete(key)
    this.entries.set(key, entry)
    return entry
  }

  private isFresh(key: string, maxAgeMs: number): boolean {
    const entry = this.entries.get(key)
    if (entry === undefined) return false
    const ageMs = this.clock.nowMs() - entry.storedMs
    if (ageMs > this.limits.maxAgeMs) this.remove(key)
    return ageMs <= Math.min(this.limits.maxAgeMs, maxAgeMs)
  }

  private remove(key: string): void {
    const entry = this.entries.get(key)
    if (entry === undefined) return
    this.entries.delete(key)
    this.bytes -= entry.bytes
    if (entry.semantic === null) return
    const keys = this.byMeaning.get(entry.semantic.key)
    keys?.delete(key)
    if (keys?.size === 0) this.byMeaning.delete(entry.semantic.key)
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return -1
  let sum = 0
  for (let index = 0; index < a.length; index++) sum += a[index]! * b[index]!
  return sum
}
