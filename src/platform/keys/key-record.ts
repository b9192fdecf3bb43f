/** A key as the programs see it: its terms, its life, and never its secret. */
import { InferdError } from '#contract/errors'
import { type CallerLimits, NO_LIMITS, type Principal, type Scope } from '#contract/principal'
import type { ApiKeyRow, KeyWithTeam } from '#platform/store/keys-table'

/** bearer: sent as it is; signing: an access key id and a secret for SigV4. */
export type KeyKind = 'bearer' | 'signing'

/** What a key allows. */
export interface KeyTerms {
  readonly name: string
  readonly team: string
  readonly scopes: readonly Scope[]
  /** null = all. */
  readonly models: readonly string[] | null
  readonly limits: CallerLimits
  /** Wall clock; null = never. */
  readonly expiresMs: number | null
}

export interface KeyRecord extends KeyTerms {
  readonly id: string
  readonly kind: KeyKind
  readonly createdMs: number
  readonly revokedMs: number | null
  readonly lastUsedMs: number | null
  readonly principal: Principal
}

/** A record with what proves it, for the programs that verify. */
export interface ProvableKey {
  readonly record: KeyRecord
  /** Of a bearer key. */
  readonly secretHash: string | null
  /** Of a signing key. */
  readonly sealedSecret: string | null
}

const SCOPES: readonly Scope[] = ['inference', 'read', 'operate', 'admin']

export function isUsable({ revokedMs, expiresMs }: KeyRecord, wallMs: number): boolean {
  return revokedMs === null && (expiresMs === null || wallMs < expiresMs)
}

/** Throws store_failed for a row that no inferd wrote: a key that is not understood opens nothing. */
export function toProvableKey(row: KeyWithTeam): ProvableKey {
  const { id, kind, name, team } = row
  if (kind !== 'bearer' && kind !== 'signing') throw notUnderstood(id)
  const scopes = parseJson(row.scopes, id)
  const models = row.models === null ? null : parseJson(row.models, id)
  if (!isScopes(scopes) || !(models === null || isTexts(models))) throw notUnderstood(id)
  const limits = toLimits(row.limits, id)
  const teamLimits = row.team_limits === null ? NO_LIMITS : toLimits(row.team_limits, id)
  const record: KeyRecord = {
    id,
    kind,
    name,
    team,
    scopes,
    models,
    limits,
    createdMs: Number(row.created_ms),
    expiresMs: milliseconds(row.expires_ms),
    revokedMs: milliseconds(row.revoked_ms),
    lastUsedMs: milliseconds(row.last_used_ms),
    principal: { keyId: id, team, scopes, models, limits, teamLimits },
  }
  return { record, secretHash: row.secret_hash, sealedSecret: row.sealed_secret }
}

export function toRow(
  { name, team, scopes, models, limits, expiresMs }: KeyTerms,
  rest: Pick<ApiKeyRow, 'id' | 'created_ms' | 'secret_hash' | 'sealed_secret'> & { readonly kind: KeyKind },
): ApiKeyRow {
  return {
    ...rest,
    name,
    team,
    scopes: JSON.stringify(scopes),
    models: models === null ? null : JSON.stringify(models),
    limits: JSON.stringify(limits),
    expires_ms: expiresMs,
    revoked_ms: null,
    last_used_ms: null,
  }
}

/** `id`: whose limits they are, for the words of a refusal. */
export function toLimits(json: string, id: string): CallerLimits {
  const value = parseJson(json, id)
  if (typeof value !== 'object' || value === null) throw notUnderstood(id)
  const given = value as { readonly [Name in keyof CallerLimits]?: unknown }
  const number = (name: Exclude<keyof CallerLimits, 'budgetPeriod'>): number | null => {
    const limit = given[name] ?? null
    if (limit !== null && !(typeof limit === 'number' && limit >= 0)) throw notUnderstood(id)
    return limit
  }
  const { budgetPeriod = NO_LIMITS.budgetPeriod } = given
  if (budgetPeriod !== 'day' && budgetPeriod !== 'month' && budgetPeriod !== 'total') throw notUnderstood(id)
  return {
    requestsPerMinute: number('requestsPerMinute'),
    tokensPerMinute: number('tokensPerMinute'),
    maxConcurrentRequests: number('maxConcurrentRequests'),
    budgetUsd: number('budgetUsd'),
    budgetPeriod,
  }
}

function parseJson(text: string, id: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw notUnderstood(id)
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function isScopes(value: unknown): value is readonly Scope[] {
  return isTexts(value) && value.every((word) => SCOPES.some((scope) => scope === word))
}

function milliseconds(value: number | null): number | null {
  return value === null ? null : Number(value)
}

function notUnderstood(id: string): InferdError {
  return new InferdError('store_failed', `the stored terms of ${id} are not understood`)
}
