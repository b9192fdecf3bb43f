/**
 * Money by key and team: what is spent in the window and what is reserved for calls that run. A reservation is taken before its call is
 * dispatched and given back when it is settled, in one turn of the event loop: parallel calls see each other. A window never begins
 * again: a clock that goes back stays in the later one.
 */
import type { Picodollars } from '#contract/call'
import type { CallerLimits, Principal } from '#contract/principal'
import type { BudgetSubject, Reservation } from '#platform/store/usage-table'
import { type BudgetPeriod, windowStart } from './budget-window.ts'

export interface BudgetStore {
  /** Settled costs since then, those that are still on their way to the store included. */
  spentSince(subject: BudgetSubject, fromMs: number): Promise<Picodollars>
}

interface Account {
  readonly id: string
  readonly period: BudgetPeriod
  readonly subject: BudgetSubject
  windowStartMs: number
  /** null = not read from the store yet. */
  spent: Picodollars | null
  reserved: Picodollars
  /** Settled while the store was being read. */
  settledMeanwhile: Picodollars
  loading: Promise<void> | null
}

export interface BudgetLine {
  readonly account: Account
  readonly limit: Picodollars
}

export class BudgetBook {
  private readonly store: BudgetStore
  private readonly accounts = new Map<string, Account>()
  /** Of a server before this one. They count until they expire. */
  private open: readonly Reservation[] = []

  constructor(store: BudgetStore) {
    this.store = store
  }

  /** Called once, before the first call. */
  adopt(open: readonly Reservation[]): void {
    this.open = open
  }

  /** The budgets that a call of this caller must fit; [] = it has none. */
  linesOf({ keyId, team, limits, teamLimits }: Principal, wallMs: number): readonly BudgetLine[] {
    const lines: BudgetLine[] = []
    if (limits.budgetUsd !== null) lines.push(this.line('key', { keyId }, limits, wallMs))
    if (teamLimits.budgetUsd !== null) lines.push(this.line('team', { team }, teamLimits, wallMs))
    return lines
  }

  /** null = every line is known and `reserve` may be asked at once. Rejects with store_failed. */
  load(lines: readonly BudgetLine[]): Promise<unknown> | null {
    const unknown = lines.filter(({ account }) => account.spent === null)
    if (unknown.length === 0) return null
    return Promise.all(unknown.map(({ account }) => (account.loading ??= this.read(account))))
  }

  /** All lines or none. Returns whether there was room. */
  reserve(lines: readonly BudgetLine[], amount: Picodollars, wallMs: number): boolean {
    for (const { account, limit } of lines) {
      roll(account, wallMs)
      if ((account.spent ?? 0n) + account.reserved + this.openAmount(account, wallMs) + amount > limit) return false
    }
    for (const { account } of lines) account.reserved += amount
    return true
  }

  settle(
    lines: readonly BudgetLine[],
    { amount, cost, wallMs }: { readonly amount: Picodollars; readonly cost: Picodollars; readonly wallMs: number },
  ): void {
    for (const { account } of lines) {
      roll(account, wallMs)
      account.reserved -= amount
      if (account.spent === null) account.settledMeanwhile += cost
      else account.spent += cost
    }
  }

  /** Spent beside the calls, and in the store already. */
  charge({ team, keyId }: { readonly team: string; readonly keyId: string }, cost: Picodollars, wallMs: number): void {
    for (const account of this.accounts.values()) {
      if ('keyId' in account.subject ? account.subject.keyId !== keyId : account.subject.team !== team) continue
      roll(account, wallMs)
      // What is being read has it.
      if (account.spent !== null) account.spent += cost
    }
  }

  private line(kind: 'key' | 'team', subject: BudgetSubject, { budgetUsd, budgetPeriod }: CallerLimits, wallMs: number): BudgetLine {
    const id = `${kind} ${budgetPeriod} ${'keyId' in subject ? subject.keyId : subject.team}`
    let account = this.accounts.get(id)
    if (account === undefined) {
      account = {
        id,
        period: budgetPeriod,
        subject,
        windowStartMs: windowStart(budgetPeriod, wallMs),
        spent: null,
        reserved: 0n,
        settledMeanwhile: 0n,
        loading: null,
      }
      this.accounts.set(id, account)
    }
    return { account, limit: picodollarsOf(budgetUsd ?? 0) }
  }

  private async read(account: Account): Promise<void> {
    try {
      const fromMs = account.windowStartMs
      const spent = await this.store.spentSince(account.subject, fromMs)
      account.spent = (fromMs === account.windowStartMs ? spent : 0n) + account.settledMeanwhile
    } finally {
      account.loading = null
    }
  }

  private openAmount({ subject }: Account, wallMs: number): Picodollars {
    if (this.open.length === 0) return 0n
    this.open = this.open.filter(({ expiresMs }) => expiresMs > wallMs)
    return this.open
      .filter(({ keyId, team }) => ('keyId' in subject ? keyId === subject.keyId : team === subject.team))
      .reduce((sum, { amount }) => sum + amount, 0n)
  }
}

function roll(account: Account, wallMs: number): void {
  const startMs = windowStart(account.period, wallMs)
  if (startMs <= account.windowStartMs) return
  account.windowStartMs = startMs
  if (account.spent !== null) account.spent = 0n
  account.settledMeanwhile = 0n
}

/** To a millionth of a dollar. */
function picodollarsOf(usd: number): Picodollars {
  return BigInt(Math.round(usd * 1e6)) * 1_000_000n
}
