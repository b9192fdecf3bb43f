/** Who calls: made at the door from a credential, trusted by everything behind it. */

/** inference: use models; read: see models, usage and files; operate: change guardrails, endpoints and jobs; admin: keys. */
export type Scope = 'inference' | 'read' | 'operate' | 'admin'

/** Bounds of one caller; null = none. Token and request rates are per minute, money is in US dollars. */
export interface CallerLimits {
  readonly requestsPerMinute: number | null
  readonly tokensPerMinute: number | null
  readonly maxConcurrentRequests: number | null
  readonly budgetUsd: number | null
  /** Wall-clock window of the budget, UTC. */
  readonly budgetPeriod: 'day' | 'month' | 'total'
}

export const NO_LIMITS: CallerLimits = {
  requestsPerMinute: null,
  tokensPerMinute: null,
  maxConcurrentRequests: null,
  budgetUsd: null,
  budgetPeriod: 'month',
}

export interface Principal {
  /** Names the key in ledger and logs; never the secret. */
  readonly keyId: string
  /** Tenant: caches, stored things and fair shares are kept apart by it. */
  readonly team: string
  readonly scopes: readonly Scope[]
  /** Names that may be called; null = all. */
  readonly models: readonly string[] | null
  readonly limits: CallerLimits
  readonly teamLimits: CallerLimits
  /** It came with temporary credentials: it may do what its key may, but not make more of them. */
  readonly isTemporary?: boolean
}

/** Whoever reaches a server that has no keys: it listens on loopback only. */
export const LOCAL_PRINCIPAL: Principal = {
  keyId: 'local',
  team: 'local',
  scopes: ['inference', 'read', 'operate', 'admin'],
  models: null,
  limits: NO_LIMITS,
  teamLimits: NO_LIMITS,
}
