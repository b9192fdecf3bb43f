/** How often one source may come with credentials that are no good. Who guesses is slowed down; keys that are known pass all the same. */
import { RateLimit } from '#platform/admission/rate-limit'

const FAILURES_PER_MINUTE = 60
/** However many fail at once, or with the id of a key that exists: who shares the address is not locked out for days. */
const MAX_WAIT_MS = 60_000
const MAX_SOURCES = 10_000

export class FailureLimit {
  /** In order of last failure. At most MAX_SOURCES. */
  private readonly sources = new Map<string, RateLimit>()

  /** How long until `source` may fail again; 0 = now. */
  waitMs(source: string, nowMs: number): number {
    return this.sources.get(networkOf(source))?.waitMs(1, nowMs) ?? 0
  }

  note(source: string, nowMs: number): void {
    const network = networkOf(source)
    const rate = this.sources.get(network) ?? new RateLimit(FAILURES_PER_MINUTE)
    this.sources.delete(network)
    this.sources.set(network, rate)
    if (rate.waitMs(1, nowMs) < MAX_WAIT_MS) rate.take(1, nowMs)
    if (this.sources.size <= MAX_SOURCES) return
    const [oldest] = this.sources.keys()
    if (oldest !== undefined) this.sources.delete(oldest)
  }
}

/** One home has 2^64 addresses of IPv6. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!plain.includes(':')) return plain
  const [head = '', tail] = plain.split('::')
  const first = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => '0'), ...last]
  return groups.slice(0, 4).join(':')
}
