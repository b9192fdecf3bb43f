/** `inferd keys`, `inferd teams` and `inferd audit`: they work on the data directory, beside a running server or without one. */
import { createReadStream } from 'node:fs'
import { userInfo } from 'node:os'
import { createInterface } from 'node:readline'
import { systemClock } from '#base/clock'
import type { DataConfig } from '#config/schema'
import { InferdError } from '#contract/errors'
import { type CallerLimits, NO_LIMITS } from '#contract/principal'
import { MAX_SESSION_S, MIN_SESSION_S, type TemporaryCredentials } from '#contract/temporary-credentials'
import { verifyChain } from '#platform/audit/audit-chain'
import { AuditLog, auditFileOf } from '#platform/audit/audit-log'
import { KeyBook, type NewKey } from '#platform/keys/key-book'
import { isUsable, type KeyKind, type KeyRecord } from '#platform/keys/key-record'
import { loadMasterKey } from '#platform/keys/master-key'
import { selectAuditHead } from '#platform/store/audit-table'
import type { Store } from '#platform/store/open-store'
import { openDataDir } from './data-dir.ts'
import { type Flags, limitsText, parseDuration, parseLimits, parseName, parseScopes, parseSeconds } from './key-terms.ts'
import { openDataStore } from './open-data-store.ts'

const DEFAULT_TEAM = 'default'
const DEFAULT_OVERLAP = '24h'
const DEFAULT_SESSION_S = '3600'

export function createKey(
  data: DataConfig,
  kind: KeyKind,
  flags: Flags & { readonly model: readonly string[]; readonly json?: string },
): Promise<void> {
  return withKeys(data, async (keys, written) => {
    const expiresIn = flags['expiresIn']
    const shown = await keys.create(kind, {
      name: parseName(flags['name'] ?? 'unnamed', '--name'),
      team: parseName(flags['team'] ?? DEFAULT_TEAM, '--team'),
      scopes: parseScopes(flags['scope'] ?? 'inference'),
      models: flags.model.length === 0 ? null : flags.model,
      limits: { ...NO_LIMITS, ...parseLimits(flags) },
      expiresMs: expiresIn === undefined ? null : systemClock.wallMs() + parseDuration(expiresIn, '--expires-in'),
    })
    await written()
    show(shown, flags.json !== undefined)
  })
}

export function listKeys(data: DataConfig, asJson: boolean): Promise<void> {
  return withKeys(data, async (keys) => {
    const records = await keys.list()
    if (asJson) return print(JSON.stringify(records.map(publicForm), null, 2))
    if (records.length === 0) return print('no keys; make one with: inferd keys create')
    for (const record of records) {
      const { id, kind, team, name, scopes } = record
      print([id.padEnd(20), kind.padEnd(7), stateOf(record).padEnd(8), team, name, scopes.join(',')].join('  '))
    }
  })
}

export function showKey(data: DataConfig, id: string): Promise<void> {
  return withKeys(data, async (keys) => print(JSON.stringify(publicForm(await keys.get(id)), null, 2)))
}

export function revokeKey(data: DataConfig, id: string): Promise<void> {
  return withKeys(data, async (keys, written) => {
    await keys.revoke(id)
    await written()
    print(`revoked ${id}; running servers refuse it within 5 seconds`)
  })
}

export function rotateKey(data: DataConfig, id: string, { overlap = DEFAULT_OVERLAP, json }: Flags): Promise<void> {
  return withKeys(data, async (keys, written) => {
    const shown = await keys.rotate(id, parseDuration(overlap, '--overlap'))
    await written()
    show(shown, json !== undefined)
    process.stderr.write(`${id} ends in ${overlap}\n`)
  })
}

/** Temporary credentials that act as the key `id`. */
export function createSession(data: DataConfig, id: string, { duration = DEFAULT_SESSION_S, json }: Flags): Promise<void> {
  return withKeys(data, async (keys, written) => {
    const durationS = parseSeconds(duration, '--duration', { min: MIN_SESSION_S, max: MAX_SESSION_S })
    const credentials = await keys.issue(id, durationS)
    await written()
    showSession(credentials, json !== undefined)
    process.stderr.write(`temporary credentials of key ${id}: they are shown once and end at ${isoOf(credentials.expiresMs)}\n`)
  })
}

export function limitKey(data: DataConfig, id: string, flags: Flags): Promise<void> {
  return withKeys(data, async (keys, written) => {
    const change = parseLimits(flags)
    const limits = isEmpty(change) ? (await keys.get(id)).limits : await keys.setLimits(id, change)
    await written()
    print(`${id}: ${limitsText(limits)}`)
  })
}

export function limitTeam(data: DataConfig, name: string, flags: Flags): Promise<void> {
  return withKeys(data, async (keys, written) => {
    const limits = await keys.setTeamLimits(parseName(name, 'team'), parseLimits(flags))
    await written()
    print(`${name}: ${limitsText(limits)}`)
  })
}

export function listTeams(data: DataConfig): Promise<void> {
  return withKeys(data, async (keys) => {
    for (const { name, limits } of await keys.listTeams()) print(`${name}: ${limitsText(limits)}`)
  })
}

/** Throws store_failed for a log that is not whole. */
export function verifyAudit(data: DataConfig): Promise<void> {
  return withStore(data, async (store, dataDir) => {
    const verdict = await verifyChain(linesOf(auditFileOf(dataDir)), await selectAuditHead(store.db))
    if (!verdict.isWhole) throw new InferdError('store_failed', `${auditFileOf(dataDir)}, line ${verdict.lineNumber}: ${verdict.problem}`)
    print(`the audit log is whole: ${verdict.numLines} lines`)
  })
}

/** `written` resolves when the audit log has what was done. */
async function withKeys(data: DataConfig, work: (keys: KeyBook, written: () => Promise<void>) => Promise<void>): Promise<void> {
  await withStore(data, async (store, dataDir) => {
    const audit = new AuditLog({ store, dataDir, clock: systemClock, onWriteFailure: () => {}, onDamage: () => {} })
    const actor = `cli:${userInfo().username}`
    try {
      await work(new KeyBook({ store, audit, masterKey: () => loadMasterKey(dataDir), clock: systemClock, actor }), () => audit.flush())
    } finally {
      await audit.close()
    }
  })
}

async function withStore(data: DataConfig, work: (store: Store, dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = openDataDir(data.dataDir)
  const store = await openDataStore(data, dataDir)
  try {
    await work(store, dataDir)
  } finally {
    await store.close()
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  try {
    yield* createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}

/** The secret goes to standard output, once; what else there is to say to standard error. */
function show(key: NewKey, asJson: boolean): void {
  if (asJson) return print(JSON.stringify(key))
  if (key.kind === 'bearer') print(key.token)
  else print(`AWS_ACCESS_KEY_ID=${key.id}\nAWS_SECRET_ACCESS_KEY=${key.secret}`)
  process.stderr.write(`key ${key.id}: it is shown once, keep it now\n`)
}

/** As JSON in the form that AWS clients read from a `credential_process`. */
function showSession({ accessKeyId, secretAccessKey, sessionToken, expiresMs }: TemporaryCredentials, asJson: boolean): void {
  const expiration = isoOf(expiresMs)
  if (asJson) {
    const answer = { Version: 1, AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken, Expiration: expiration }
    return print(JSON.stringify(answer))
  }
  print(`AWS_ACCESS_KEY_ID=${accessKeyId}\nAWS_SECRET_ACCESS_KEY=${secretAccessKey}`)
  print(`AWS_SESSION_TOKEN=${sessionToken}\nAWS_CREDENTIAL_EXPIRATION=${expiration}`)
}

function publicForm(record: KeyRecord): Readonly<Record<string, unknown>> {
  const { id, kind, name, team, scopes, models, limits, principal } = record
  return {
    id,
    kind,
    state: stateOf(record),
    name,
    team,
    scopes,
    models,
    limits,
    teamLimits: principal.teamLimits,
    created: isoOf(record.createdMs),
    expires: isoOf(record.expiresMs),
    revoked: isoOf(record.revokedMs),
    lastUsed: isoOf(record.lastUsedMs),
  }
}

function stateOf(record: KeyRecord): string {
  if (record.revokedMs !== null) return 'revoked'
  return isUsable(record, systemClock.wallMs()) ? 'active' : 'expired'
}

function isoOf(wallMs: number | null): string | null {
  return wallMs === null ? null : new Date(wallMs).toISOString()
}

function isEmpty(change: Partial<CallerLimits>): boolean {
  return Object.keys(change).length === 0
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
