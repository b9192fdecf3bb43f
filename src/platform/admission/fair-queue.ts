/**
 * The waiting line of one model: data and decisions, no clock and no promises. Tiers first, a long wait counting as a higher tier (but never
 * as reserved); inside
 * a tier the tenant that has been served the fewest tokens (a virtual token counter, corrected by what was really used); inside a tenant
 * in order of arrival. Bounded by calls and tokens: what makes room is the newest of the lowest tier, or of the tenant with the longest line.
 */
import { assert } from '#base/assert'
import type { ServiceTier } from '#contract/call'

export interface Waiting {
  readonly tenant: string
  readonly tier: ServiceTier
  /** Prompt and expected output. */
  readonly tokens: number
  /** Monotonic. */
  readonly arrivedMs: number
  /** Monotonic: not worth starting from then on. */
  readonly expiresMs: number
}

export interface FairQueueOptions {
  readonly maxWaiting: number
  readonly maxWaitingTokens: number
  readonly ageingMs: number
}

interface Tenant<Item> {
  readonly name: string
  /** Tokens served since it joined, from the level of those who were there. */
  served: number
  waitingTokens: number
  numWaiting: number
  /** By tier rank, each in order of arrival. */
  readonly lines: readonly [Item[], Item[], Item[], Item[]]
}

type Rank = 0 | 1 | 2 | 3

/** What was bought before goes before all that may pay for it. */
const RANKS: Readonly<Record<ServiceTier, Rank>> = { reserved: 0, priority: 1, default: 2, flex: 3 }
const FIRST_UNRESERVED: Rank = 1
const MAX_REMEMBERED_TENANTS = 10_000

export type PushResult<Item> = { readonly kind: 'queued'; readonly evicted: readonly Item[] } | { readonly kind: 'full' }

export class FairQueue<Item extends Waiting> {
  private readonly options: FairQueueOptions
  /** Those with an empty line are remembered for their counters. */
  private readonly tenants = new Map<string, Tenant<Item>>()
  /** Level of the tenant that was served last. */
  private level = 0
  numWaiting = 0
  waitingTokens = 0

  constructor(options: FairQueueOptions) {
    this.options = options
  }

  push(item: Item): PushResult<Item> {
    const evicted: Item[] = []
    while (!this.hasRoomFor(item)) {
      const victim = this.findVictim(item)
      if (victim === null) {
        for (const each of evicted.reverse()) this.append(each)
        return { kind: 'full' }
      }
      this.remove(victim)
      evicted.push(victim)
    }
    this.append(item)
    return { kind: 'queued', evicted }
  }

  /** Who is next; it stays. */
  peek(nowMs: number, { isFlexLeftOut }: { readonly isFlexLeftOut: boolean } = { isFlexLeftOut: false }): Item | null {
    let best: { readonly item: Item; readonly rank: number; readonly served: number } | null = null
    for (const { lines, served, numWaiting } of this.tenants.values()) {
      if (numWaiting === 0) continue
      for (const [item] of lines) {
        if (item === undefined || (isFlexLeftOut && item.tier === 'flex')) continue
        const rank = this.rankOf(item, nowMs)
        const isBetter =
          best === null ||
          rank < best.rank ||
          (rank === best.rank && (served < best.served || (served === best.served && item.arrivedMs < best.item.arrivedMs)))
        if (isBetter) best = { item, rank, served }
      }
    }
    return best?.item ?? null
  }

  /** Out of the line, whether served or given up. False: it was not in it. */
  remove(item: Item): boolean {
    const tenant = this.tenants.get(item.tenant)
    const line = tenant?.lines[RANKS[item.tier]]
    const index = line?.indexOf(item) ?? -1
    if (tenant === undefined || line === undefined || index < 0) return false
    line.splice(index, 1)
    tenant.numWaiting--
    tenant.waitingTokens -= item.tokens
    this.numWaiting--
    this.waitingTokens -= item.tokens
    return true
  }

  /** Counts what is served to a tenant; negative: less was used than counted before. */
  charge(tenantName: string, tokens: number): void {
    const tenant = this.join(tenantName)
    if (tokens > 0) this.level = Math.max(this.level, tenant.served)
    tenant.served += tokens
  }

  takeExpired(nowMs: number): readonly Item[] {
    const expired: Item[] = []
    for (const { lines, numWaiting } of this.tenants.values()) {
      if (numWaiting > 0) for (const line of lines) expired.push(...line.filter(({ expiresMs }) => expiresMs <= nowMs))
    }
    for (const item of expired) this.remove(item)
    return expired
  }

  /** Tokens that are served before a new item of this tenant would be, when every line keeps its fair share. */
  tokensBefore({ tenant: name, tier, tokens }: Pick<Item, 'tenant' | 'tier' | 'tokens'>): number {
    const rank = RANKS[tier]
    const own = this.tenants.get(name)
    const tokensOf = (tenant: Tenant<Item>, from: number, to: number): number => {
      let sum = 0
      for (let each = from; each <= to; each++) for (const item of tenant.lines[each as Rank]) sum += item.tokens
      return sum
    }
    const ownLine = own === undefined ? 0 : tokensOf(own, rank, rank)
    let before = ownLine
    for (const tenant of this.tenants.values()) {
      if (tenant.numWaiting === 0) continue
      if (rank > 0) before += tokensOf(tenant, 0, rank - 1)
      if (tenant !== own) before += Math.min(tokensOf(tenant, rank, rank), ownLine + tokens)
    }
    return before
  }

  checkInvariants(): void {
    let numWaiting = 0
    let tokens = 0
    for (const tenant of this.tenants.values()) {
      const items = tenant.lines.flat()
      assert(items.length === tenant.numWaiting, 'a tenant counts its calls')
      assert(items.reduce((sum, item) => sum + item.tokens, 0) === tenant.waitingTokens, 'a tenant counts its tokens')
      numWaiting += items.length
      tokens += tenant.waitingTokens
    }
    assert(numWaiting === this.numWaiting && tokens === this.waitingTokens, 'the line counts what waits')
    assert(numWaiting <= this.options.maxWaiting && (tokens <= this.options.maxWaitingTokens || numWaiting <= 1), 'the line is bounded')
  }

  private hasRoomFor({ tokens }: Item): boolean {
    const { maxWaiting, maxWaitingTokens } = this.options
    if (this.numWaiting >= maxWaiting) return false
    return this.waitingTokens + tokens <= maxWaitingTokens || this.numWaiting === 0
  }

  /** The newest of a lower tier, else of a tenant that would still have the longer line. */
  private findVictim({ tier, tenant: name, tokens }: Item): Item | null {
    const rank = RANKS[tier]
    for (let lowest: number = RANKS.flex; lowest > rank; lowest--) {
      const victim = newestOf(longestLine(this.tenants.values(), lowest as Rank), lowest as Rank)
      if (victim !== null) return victim
    }
    const longest = longestLine(this.tenants.values(), rank)
    const own = this.tenants.get(name)?.waitingTokens ?? 0
    if (longest === null || longest.name === name || longest.waitingTokens <= own + tokens) return null
    return newestOf(longest, rank)
  }

  private append(item: Item): void {
    const tenant = this.join(item.tenant)
    tenant.lines[RANKS[item.tier]].push(item)
    tenant.numWaiting++
    tenant.waitingTokens += item.tokens
    this.numWaiting++
    this.waitingTokens += item.tokens
  }

  /** A tenant that comes back is lifted to the level of those who stayed: being away saves nothing up. */
  private join(name: string): Tenant<Item> {
    let tenant = this.tenants.get(name)
    if (tenant === undefined) {
      if (this.tenants.size >= MAX_REMEMBERED_TENANTS) this.forgetIdle()
      tenant = { name, served: this.level, waitingTokens: 0, numWaiting: 0, lines: [[], [], [], []] }
      this.tenants.set(name, tenant)
    }
    if (tenant.numWaiting === 0) tenant.served = Math.max(tenant.served, this.lowestWaiting())
    return tenant
  }

  private lowestWaiting(): number {
    let lowest = Infinity
    for (const { numWaiting, served } of this.tenants.values()) if (numWaiting > 0 && served < lowest) lowest = served
    return lowest === Infinity ? this.level : lowest
  }

  private forgetIdle(): void {
    for (const [name, { numWaiting }] of this.tenants) if (numWaiting === 0) this.tenants.delete(name)
  }

  private rankOf({ tier, arrivedMs }: Item, nowMs: number): number {
    if (tier === 'reserved') return RANKS.reserved
    return Math.max(FIRST_UNRESERVED, RANKS[tier] - Math.floor((nowMs - arrivedMs) / this.options.ageingMs))
  }
}

function longestLine<Item>(tenants: Iterable<Tenant<Item>>, rank: Rank): Tenant<Item> | null {
  let longest: Tenant<Item> | null = null
  for (const tenant of tenants) {
    if (tenant.lines[rank].length > 0 && (longest === null || tenant.waitingTokens > longest.waitingTokens)) longest = tenant
  }
  return longest
}

function newestOf<Item>(tenant: Tenant<Item> | null, rank: Rank): Item | null {
  return tenant?.lines[rank].at(-1) ?? null
}
