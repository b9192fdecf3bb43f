/** Who may call a server: keys, signatures, the tally of refusals and the audit log put together for `inferd serve`. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { NO_LIMITS, type Principal } from '#contract/principal'
import type { AuditEvent } from '#platform/audit/audit-chain'
import { AuditLog } from '#platform/audit/audit-log'
import { RefusalTally } from '#platform/audit/refusal-tally'
import type { CredentialIssuer } from '#contract/temporary-credentials'
import { FailureLimit } from '#platform/keys/failure-limit'
import { KeyBook } from '#platform/keys/key-book'
import { KeyRing } from '#platform/keys/key-ring'
import { loadMasterKey } from '#platform/keys/master-key'
import { SigningSecrets } from '#platform/keys/signing-secrets'
import type { Store } from '#platform/store/open-store'
import { createAuthenticator } from '#server/http/authenticate'
import type { Authenticate, DoorRequest, ScopeRefusal } from '#server/http/door-request'
import type { Log } from '#telemetry/log'
import type { TellDamage } from './disk-damage.ts'

/** auto: keys are required once one was made, and on every address that is not loopback. container: always, but for `/invocations`. */
export type AuthMode = 'auto' | 'required' | 'container' | 'off'

const CONTAINER_PRINCIPAL: Principal = {
  keyId: 'container',
  team: 'container',
  scopes: ['inference'],
  models: null,
  limits: NO_LIMITS,
  teamLimits: NO_LIMITS,
}

export interface AccessArguments {
  readonly mode: AuthMode
  readonly host: string
  /** Signatures must be scoped to it; null = to any. */
  readonly region: string | null
  readonly store: Pick<Store, 'db'>
  readonly dataDir: string
  readonly clock: Clock
  readonly log: Log
  readonly tellDamage: TellDamage
}

export interface Access {
  /** null = everybody is the local caller. */
  readonly authenticate: Authenticate | null
  readonly onScopeRefusal: (refusal: ScopeRefusal) => void
  readonly audit: AuditLog
  /** Each key's are counted by the minute in the audit log. */
  readonly credentials: CredentialIssuer
  /** Writes what is left. To be called before the store is closed. */
  close(): Promise<void>
}

/** Throws invalid_parameter when strangers could call without a key. */
export async function openAccess({ mode, host, region, store, dataDir, clock, log, tellDamage }: AccessArguments): Promise<Access> {
  const ring = new KeyRing({ store, clock, onWriteFailure: (error) => log.warn({ err: error }, 'times of last use are not written') })
  const audit = new AuditLog({
    store,
    dataDir,
    clock,
    onWriteFailure: (error) => log.error({ err: error }, 'the audit log is not written'),
    onDamage: (error) => tellDamage('the audit log', error),
  })
  const tally = new RefusalTally(audit, clock)
  const close = async (): Promise<void> => {
    await tally.close()
    await ring.close()
    await audit.close()
  }
  try {
    await checkBind({ mode, host, hasKeys: () => ring.hasKeys() })
  } catch (error) {
    await close()
    throw error
  }
  const masterKey = (): Buffer => loadMasterKey(dataDir)
  const counted = { record: ({ event, details }: AuditEvent) => tally.note({ event, actor: String(details['key']), details: {} }) }
  const parts = {
    ring,
    secrets: new SigningSecrets(masterKey),
    failures: new FailureLimit(),
    onFailure: (event: AuditEvent) => tally.note(event),
    isRequired: mode !== 'auto' || !isLoopback(host),
    region,
    clock,
  }
  return {
    authenticate: authenticateIn(mode, createAuthenticator(parts)),
    onScopeRefusal: ({ keyId, ...details }) => tally.note({ event: 'scope.refused', actor: keyId, details }),
    audit,
    credentials: new KeyBook({ store, audit: counted, masterKey, clock, actor: 'caller' }),
    close,
  }
}

function authenticateIn(mode: AuthMode, authenticate: Authenticate): Authenticate | null {
  switch (mode) {
    case 'off':
      return null
    case 'container':
      return async (request) => (isInvocation(request) ? CONTAINER_PRINCIPAL : authenticate(request))
    case 'auto':
    case 'required':
      return authenticate
  }
}

/** SageMaker calls its containers without credentials, from a network that only it reaches. */
function isInvocation({ url }: Pick<DoorRequest, 'url'>): boolean {
  return /^\/invocations(?:\?|$)/.test(url)
}

interface Bind {
  readonly mode: AuthMode
  readonly host: string
  readonly hasKeys: () => Promise<boolean>
}

async function checkBind({ mode, host, hasKeys }: Bind): Promise<void> {
  if (isLoopback(host)) return
  if (mode === 'container') return
  if (mode === 'off') throw refusal(host, '--auth off is for loopback addresses only')
  if (!(await hasKeys())) throw refusal(host, 'an address that others can reach needs a key first: inferd keys create')
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function refusal(host: string, reason: string): InferdError {
  return new InferdError('invalid_parameter', `--host ${host}: ${reason}`, { param: '--host' })
}
