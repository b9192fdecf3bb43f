/**
 * Which models start, drain and stop: a pure function of their rows, the memory and the time. One ledger for all: a model that starts has its
 * bytes before it is spawned, one that ends has them until its process is gone.
 *
 * Room is made in this order: what is free; what is on its way back; idle models, the one first that was used least recently. Nothing that
 * runs, is pinned or always on is ever stopped for another. When nothing idle is left, a model whose callers have waited long enough has
 * busy ones drained: they finish what runs, and their new calls wait in turn.
 */
import { heldBytes, isIdle, isKept, type ModelRow } from './model-row.ts'

export type StopReason = 'idle' | 'evicted' | 'gone'

export type LifecycleAction =
  | { readonly kind: 'start'; readonly row: ModelRow }
  | { readonly kind: 'drain'; readonly row: ModelRow }
  /** Takes calls again: nobody waits for its memory any more. */
  | { readonly kind: 'resume'; readonly row: ModelRow }
  | { readonly kind: 'stop'; readonly row: ModelRow; readonly reason: StopReason }
  /** Can have no room however long it waits. */
  | { readonly kind: 'refuse'; readonly row: ModelRow; readonly needBytes: number; readonly haveBytes: number }

export interface LifecyclePolicy {
  readonly budgetBytes: number
  /** Callers of a model without room wait so long before others are drained for it. */
  readonly fairWaitMs: number
  /** A busy model is not drained sooner after it got ready: what was loaded also works. */
  readonly residencyMs: number
}

/** `rows`: at least every one that is not cold, held calls for, or wanted awake. The actions are in order of execution and name each row once. */
export function decideLifecycle(rows: readonly ModelRow[], policy: LifecyclePolicy, nowMs: number): readonly LifecycleAction[] {
  const actions: LifecycleAction[] = rows.flatMap((row) => endingOf(row, nowMs) ?? [])
  const leaving = actions.flatMap(({ kind, row }) => (kind === 'resume' ? [] : [row]))
  const room = new Room(rows, policy, nowMs, new Set(leaving))
  for (const row of rows.filter((one) => wantsStart(one, nowMs)).toSorted(byDemand)) actions.push(...room.actionsFor(row))
  if (!room.isWaitedFor) {
    for (const row of rows)
      if (row.phase === 'draining' && row.wanted === 'on-demand' && !row.isPinned && row.numRunning > 0) actions.push({ kind: 'resume', row })
  }
  return actions
}

/** What becomes of a model whoever else there is. */
function endingOf(row: ModelRow, nowMs: number): LifecycleAction | null {
  const isUp = row.phase === 'ready' || row.phase === 'starting'
  // Pinned, or wanted again, while it drained.
  if (row.phase === 'draining' && isKept(row)) return { kind: 'resume', row }
  if (row.phase === 'draining' && row.numRunning === 0) return { kind: 'stop', row, reason: row.wanted === 'gone' ? 'gone' : 'evicted' }
  if (row.wanted === 'gone' && isUp) return row.numRunning === 0 ? { kind: 'stop', row, reason: 'gone' } : drainOf(row)
  if (isUp && !isKept(row) && isIdle(row) && nowMs - row.lastUseMs >= row.idleTimeoutMs) return { kind: 'stop', row, reason: 'idle' }
  return null
}

function drainOf(row: ModelRow): LifecycleAction | null {
  return row.phase === 'ready' ? { kind: 'drain', row } : null
}

function wantsStart(row: ModelRow, nowMs: number): boolean {
  if (row.phase !== 'cold' || row.needBytes === null || row.wanted === 'gone' || nowMs < row.notBeforeMs) return false
  return row.wanted === 'awake' || row.numHeld > 0
}

/** Always-on models first, then who has waited longest. */
function byDemand(a: ModelRow, b: ModelRow): number {
  return (a.oldestHeldMs ?? -Infinity) - (b.oldestHeldMs ?? -Infinity)
}

function byLastUse(a: ModelRow, b: ModelRow): number {
  return a.lastUseMs - b.lastUseMs
}

/** The memory while it is given out: to one model after the other, each of which may count on what it was promised. */
class Room {
  /** Some model waits for memory that others have or give back. */
  isWaitedFor = false
  private readonly rows: readonly ModelRow[]
  private readonly policy: LifecyclePolicy
  private readonly nowMs: number
  /** Not promised to anybody: now, and when the processes that end are gone. */
  private freeBytes: number
  private comingBytes: number
  /** Have been told to end or to drain. */
  private readonly leaving: Set<ModelRow>

  constructor(rows: readonly ModelRow[], policy: LifecyclePolicy, nowMs: number, told: ReadonlySet<ModelRow>) {
    this.rows = rows
    this.policy = policy
    this.nowMs = nowMs
    this.leaving = new Set(rows.filter((row) => told.has(row) || row.phase === 'stopping' || (row.phase === 'draining' && !isKept(row))))
    this.freeBytes = policy.budgetBytes - sumOfBytes(rows)
    this.comingBytes = sumOfBytes([...this.leaving])
  }

  actionsFor(row: ModelRow): readonly LifecycleAction[] {
    const needBytes = row.needBytes ?? 0
    const haveBytes = this.policy.budgetBytes - sumOfBytes(this.rows.filter((other) => other !== row && isKept(other) && !this.leaving.has(other)))
    if (needBytes > haveBytes) return [{ kind: 'refuse', row, needBytes, haveBytes: Math.max(0, haveBytes) }]
    if (needBytes <= this.freeBytes) {
      this.freeBytes -= needBytes
      return [{ kind: 'start', row }]
    }
    const missingBytes = needBytes - this.freeBytes - this.comingBytes
    const victims = missingBytes <= 0 ? [] : this.victimsFor(row, missingBytes)
    // Smaller ones may go first, for a while.
    if (victims === null && this.isPatient(row)) return []
    this.isWaitedFor = true
    for (const victim of victims ?? []) {
      this.leaving.add(victim)
      this.comingBytes += heldBytes(victim)
    }
    this.promise(needBytes)
    return (victims ?? []).map((victim) => (isIdle(victim) ? { kind: 'stop', row: victim, reason: 'evicted' } : { kind: 'drain', row: victim }))
  }

  /** null = there is not enough room to be made, now. */
  private victimsFor(row: ModelRow, missingBytes: number): readonly ModelRow[] | null {
    const others = this.rows.filter((other) => !isKept(other) && !this.leaving.has(other)).toSorted(byLastUse)
    const idle = others.filter((other) => isIdle(other) && (other.phase === 'ready' || other.phase === 'starting'))
    const busy = this.isPatient(row) ? [] : others.filter((other) => !isIdle(other) && this.mayBeDrained(other))
    return fewestOf([...idle, ...busy], missingBytes)
  }

  private isPatient({ wanted, oldestHeldMs }: ModelRow): boolean {
    return wanted !== 'awake' && this.nowMs - (oldestHeldMs ?? this.nowMs) < this.policy.fairWaitMs
  }

  private mayBeDrained({ phase, readySinceMs }: ModelRow): boolean {
    return phase === 'ready' && readySinceMs !== null && this.nowMs - readySinceMs >= this.policy.residencyMs
  }

  private promise(bytes: number): void {
    const nowBytes = Math.max(0, Math.min(bytes, this.freeBytes))
    this.freeBytes -= nowBytes
    this.comingBytes = Math.max(0, this.comingBytes - (bytes - nowBytes))
  }
}

/** The first ones that give enough, without those that the later ones make needless. null = all of them give too little. */
function fewestOf(rows: readonly ModelRow[], neededBytes: number): readonly ModelRow[] | null {
  const chosen: ModelRow[] = []
  let bytes = 0
  for (const row of rows) {
    if (bytes >= neededBytes) break
    chosen.push(row)
    bytes += heldBytes(row)
  }
  if (bytes < neededBytes) return null
  return chosen.filter((row) => {
    if (bytes - heldBytes(row) < neededBytes) return true
    bytes -= heldBytes(row)
    return false
  })
}

function sumOfBytes(rows: readonly ModelRow[]): number {
  return rows.reduce((sum, row) => sum + heldBytes(row), 0)
}
