/** Making, listing and ending keys: what `inferd keys` does to the store, each change with its line in the audit log. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { type CallerLimits, NO_LIMITS } from '#contract/principal'
import type { CredentialIssuer, TemporaryCredentials } from '#contract/temporary-credentials'
import type { AuditLog } from '#platform/audit/audit-log'
import {
  hasKeyRows,
  insertKey,
  markRevoked,
  replaceKey,
  selectKey,
  selectKeys,
  selectTeam,
  selectTeams,
  updateKeyLimits,
  upsertTeam,
  type ApiKeyRow,
} from '#platform/store/keys-table'
import type { Store } from '#platform/store/open-store'
import { type KeyKind, type KeyRecord, type KeyTerms, type ProvableKey, isUsable, toLimits, toProvableKey, toRow } from './key-record.ts'
import { hashBearer, mintBearer, mintSigning } from './key-token.ts'
import { seal, unseal } from './seal.ts'
import { mintSession, sessionSealingKey } from './session-token.ts'

export interface KeyBookParts {
  readonly store: Pick<Store, 'db'>
  readonly audit: Pick<AuditLog, 'record'>
  /** Asked for when a signing key is made. */
  readonly masterKey: () => Uint8Array
  readonly clock: Pick<Clock, 'wallMs'>
  /** Who changes keys, for the audit log. */
  readonly actor: string
}

/** What is shown once. */
export type NewKey =
  | { readonly id: string; readonly kind: 'bearer'; readonly token: string }
  | { readonly id: string; readonly kind: 'signing'; readonly secret: string }

export interface Team {
  readonly name: string
  readonly limits: CallerLimits
}

/** Of one list; who has more asks the store itself. */
const MAX_LISTED = 10_000

export class KeyBook implements CredentialIssuer {
  private readonly parts: KeyBookParts

  constructor(parts: KeyBookParts) {
    this.parts = parts
  }

  async create(kind: KeyKind, terms: KeyTerms): Promise<NewKey> {
    const { row, shown } = this.mint(kind, terms)
    await insertKey(this.parts.store.db, row)
    this.note('key.create', { key: row.id, kind, ...termsNote(terms) })
    return shown
  }

  /** Newest first. */
  async list(): Promise<readonly KeyRecord[]> {
    return (await selectKeys(this.parts.store.db, MAX_LISTED)).map((row) => toProvableKey(row).record)
  }

  /** Throws resource_not_found. */
  async get(id: string): Promise<KeyRecord> {
    return (await this.find(id)).record
  }

  /** Some key was made once, of use or not. */
  hasAny(): Promise<boolean> {
    return hasKeyRows(this.parts.store.db)
  }

  /** Running servers know within KEY_TTL_MS. Throws resource_not_found; conflict when it was revoked before. */
  async revoke(id: string): Promise<void> {
    await this.get(id)
    const wasActive = await markRevoked(this.parts.store.db, id, this.parts.clock.wallMs())
    if (!wasActive) throw new InferdError('conflict', `key ${id} was revoked before`)
    this.note('key.revoke', { key: id })
  }

  /** A new key with the same terms; the old one lives on for `overlapMs`. Throws resource_not_found; conflict when the old one is dead. */
  async rotate(id: string, overlapMs: number): Promise<NewKey> {
    const old = await this.get(id)
    const nowMs = this.parts.clock.wallMs()
    if (!isUsable(old, nowMs)) throw new InferdError('conflict', `key ${id} is revoked or expired: create a new one`)
    const { row, shown } = this.mint(old.kind, old)
    const endMs = Math.min(nowMs + overlapMs, old.expiresMs ?? Number.POSITIVE_INFINITY)
    await replaceKey(this.parts.store.db, row, { id, expiresMs: endMs })
    this.note('key.rotate', { key: id, successor: row.id, expires: new Date(endMs).toISOString() })
    return shown
  }

  /** Nothing is stored but the line in the audit log. Throws conflict when the key is dead, or no signing key. */
  async issue(id: string, durationS: number): Promise<TemporaryCredentials> {
    const { record, sealedSecret } = await this.find(id)
    const nowMs = this.parts.clock.wallMs()
    if (!isUsable(record, nowMs)) throw new InferdError('conflict', `key ${id} is revoked or expired: create a new one`)
    if (sealedSecret === null) throw new InferdError('conflict', `key ${id} is no signing key: temporary credentials are for AWS signatures`)
    const endMs = Math.min(nowMs + durationS * 1000, record.expiresMs ?? Number.POSITIVE_INFINITY)
    const masterKey = this.parts.masterKey()
    const credentials = mintSession(sessionSealingKey(masterKey), { id, secret: unseal(masterKey, id, sealedSecret) }, endMs)
    this.note('session.create', { key: id, session: credentials.accessKeyId, expires: new Date(endMs).toISOString() })
    return credentials
  }

  /** Throws resource_not_found. */
  async setLimits(id: string, change: Partial<CallerLimits>): Promise<CallerLimits> {
    const limits = { ...(await this.get(id)).limits, ...change }
    await updateKeyLimits(this.parts.store.db, id, JSON.stringify(limits))
    this.note('key.limits', { key: id, limits })
    return limits
  }

  async setTeamLimits(name: string, change: Partial<CallerLimits>): Promise<CallerLimits> {
    const row = await selectTeam(this.parts.store.db, name)
    const limits = { ...(row === null ? NO_LIMITS : toLimits(row.limits, name)), ...change }
    await upsertTeam(this.parts.store.db, { name, limits: JSON.stringify(limits) })
    this.note('team.limits', { team: name, limits })
    return limits
  }

  /** Those with limits, by name. */
  async listTeams(): Promise<readonly Team[]> {
    const rows = await selectTeams(this.parts.store.db, MAX_LISTED)
    return rows.map(({ name, limits }) => ({ name, limits: toLimits(limits, name) }))
  }

  private async find(id: string): Promise<ProvableKey> {
    const row = await selectKey(this.parts.store.db, id)
    if (row === null) throw new InferdError('resource_not_found', `there is no key ${id}`)
    return toProvableKey(row)
  }

  private mint(kind: KeyKind, terms: KeyTerms): { readonly row: ApiKeyRow; readonly shown: NewKey } {
    const created_ms = this.parts.clock.wallMs()
    if (kind === 'bearer') {
      const { id, token } = mintBearer()
      return { row: toRow(terms, { id, kind, created_ms, secret_hash: hashBearer(token), sealed_secret: null }), shown: { id, kind, token } }
    }
    const { id, secret } = mintSigning()
    const sealed = seal(this.parts.masterKey(), id, secret)
    return { row: toRow(terms, { id, kind, created_ms, secret_hash: null, sealed_secret: sealed }), shown: { id, kind, secret } }
  }

  private note(event: string, details: Readonly<Record<string, unknown>>): void {
    this.parts.audit.record({ event, actor: this.parts.actor, details })
  }
}

function termsNote({ name, team, scopes, models, limits, expiresMs }: KeyTerms): Readonly<Record<string, unknown>> {
  return { name, team, scopes, models, limits, expires: expiresMs === null ? null : new Date(expiresMs).toISOString() }
}
