/** When a crashed worker starts again: exponential back-off, and for one that never served, at last never. Pure. */

export interface RestartPolicy {
  readonly firstDelayMs: number
  readonly maxDelayMs: number
  /** Crashes in a row until a replica that has never been ready is given up. */
  readonly maxCrashes: number
  readonly healthyMs: number
}

export const DEFAULT_RESTART_POLICY: RestartPolicy = { firstDelayMs: 100, maxDelayMs: 30_000, maxCrashes: 8, healthyMs: 60_000 }

export interface RestartDecision {
  readonly numCrashes: number
  /** null = give up. */
  readonly delayMs: number | null
}

export interface CrashHistory {
  /** In a row, this one not counted. */
  readonly numCrashesBefore: number
  /** How long the worker was ready before it died; 0 when it never was. */
  readonly servedMs: number
  /** Whether any worker of this replica was ever ready: its model can be loaded, so no caller may take it down for good. */
  readonly hasServed: boolean
}

export function decideRestart(policy: RestartPolicy, { numCrashesBefore, servedMs, hasServed }: CrashHistory): RestartDecision {
  const numCrashes = servedMs >= policy.healthyMs ? 1 : numCrashesBefore + 1
  if (numCrashes > policy.maxCrashes && !hasServed) return { numCrashes, delayMs: null }
  return { numCrashes, delayMs: Math.min(policy.firstDelayMs * 2 ** (numCrashes - 1), policy.maxDelayMs) }
}
