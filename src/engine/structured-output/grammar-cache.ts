/**
 * Loaded grammars by tenant and key, the least recently used of a tenant going first. Bounded in bytes twice: what one tenant may hold, so
 * that nobody's stream of ever new schemas costs another its hits, and what all hold together.
 */
import { assert } from '#base/assert'
import type { LoadedGrammar } from '#engine/grammar/token-matcher'

export interface GrammarCacheLimits {
  readonly maxTenantBytes: number
  readonly maxTotalBytes: number
}

interface Entry {
  readonly grammar: LoadedGrammar
  /** UTF-16 units of the key count too: a key is as large as its schema. */
  readonly keyBytes: number
  /** As counted in the sums; brought up to date when the entry is used, as its masks grow. */
  bytes: number
}

interface TenantEntries {
  /** Least recently used first. */
  readonly byKey: Map<string, Entry>
  bytes: number
}

export class GrammarCache {
  private readonly limits: GrammarCacheLimits
  /** Least recently used first. */
  private readonly tenants = new Map<string, TenantEntries>()
  private totalBytes = 0
  private numHits = 0
  private numMisses = 0

  constructor(limits: GrammarCacheLimits) {
    this.limits = limits
  }

  stats(): { readonly numGrammars: number; readonly bytes: number; readonly numHits: number; readonly numMisses: number } {
    let numGrammars = 0
    for (const { byKey } of this.tenants.values()) numGrammars += byKey.size
    return { numGrammars, bytes: this.totalBytes, numHits: this.numHits, numMisses: this.numMisses }
  }

  /** Counts a hit or a miss, and makes what is found the tenant's most recently used. */
  find(tenant: string, key: string): LoadedGrammar | null {
    const entries = this.tenants.get(tenant)
    const entry = entries?.byKey.get(key)
    if (entries === undefined || entry === undefined) {
      this.numMisses += 1
      return null
    }
    this.numHits += 1
    entries.byKey.delete(key)
    entries.byKey.set(key, entry)
    this.touchTenant(tenant, entries)
    this.resize(entries, entry)
    this.shrink(tenant, entries, key)
    return entry.grammar
  }

  /** A grammar that alone is larger than a limit is not kept. */
  add(tenant: string, key: string, grammar: LoadedGrammar): void {
    const keyBytes = key.length * 2
    const bytes = keyBytes + grammar.memoryBytes
    if (bytes > this.limits.maxTenantBytes || bytes > this.limits.maxTotalBytes) return
    const entries = this.tenants.get(tenant) ?? { byKey: new Map<string, Entry>(), bytes: 0 }
    const old = entries.byKey.get(key)
    if (old !== undefined) this.remove(entries, key, old)
    entries.byKey.set(key, { grammar, keyBytes, bytes })
    entries.bytes += bytes
    this.totalBytes += bytes
    this.touchTenant(tenant, entries)
    this.shrink(tenant, entries, key)
  }

  /** Throws BugError unless sums and limits hold. */
  checkInvariants(): void {
    let total = 0
    for (const { byKey, bytes } of this.tenants.values()) {
      const sum = [...byKey.values()].reduce((part, entry) => part + entry.bytes, 0)
      assert(byKey.size > 0 && sum === bytes, "a tenant's sum is that of its entries")
      assert(bytes <= this.limits.maxTenantBytes, 'a tenant holds more than it may')
      total += sum
    }
    assert(total === this.totalBytes && total <= this.limits.maxTotalBytes, 'all tenants hold more than they may')
  }

  private touchTenant(tenant: string, entries: TenantEntries): void {
    this.tenants.delete(tenant)
    this.tenants.set(tenant, entries)
  }

  private resize(entries: TenantEntries, entry: Entry): void {
    const bytes = entry.keyBytes + entry.grammar.memoryBytes
    entries.bytes += bytes - entry.bytes
    this.totalBytes += bytes - entry.bytes
    entry.bytes = bytes
  }

  /** Drops old entries until the limits hold: the tenant's own first, then those of the tenants that were quiet for longest. */
  private shrink(tenant: string, entries: TenantEntries, newestKey: string): void {
    for (const [key, entry] of entries.byKey) {
      if (entries.bytes <= this.limits.maxTenantBytes) break
      // What is in use now goes last, and only when it has outgrown the limit by itself.
      if (key === newestKey && entries.byKey.size > 1) continue
      this.remove(entries, key, entry)
    }
    for (const [otherTenant, others] of this.tenants) {
      for (const [key, entry] of others.byKey) {
        if (this.totalBytes <= this.limits.maxTotalBytes) break
        this.remove(others, key, entry)
      }
      if (others.byKey.size === 0) this.tenants.delete(otherTenant)
    }
    if (entries.byKey.size === 0) this.tenants.delete(tenant)
  }

  private remove(entries: TenantEntries, key: string, entry: Entry): void {
    entries.byKey.delete(key)
    entries.bytes -= entry.bytes
    this.totalBytes -= entry.bytes
  }
}
