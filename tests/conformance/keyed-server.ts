/** A server that asks for keys, over a store in memory, with a clock for keys that the test moves. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { FakeClock } from '#base/fake-clock'
import { NO_LIMITS } from '#contract/principal'
import type { AuditEvent } from '#platform/audit/audit-chain'
import { FailureLimit } from '#platform/keys/failure-limit'
import { KeyBook } from '#platform/keys/key-book'
import type { KeyTerms } from '#platform/keys/key-record'
import { KeyRing } from '#platform/keys/key-ring'
import { loadMasterKey } from '#platform/keys/master-key'
import { SigningSecrets } from '#platform/keys/signing-secrets'
import { openStore } from '#platform/store/open-store'
import { createAuthenticator } from '#server/http/authenticate'
import type { ScopeRefusal } from '#server/http/door-request'
import { NO_SERVICES } from '#server/services'
import { FakeModel } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

export interface KeyedServer extends TestServer {
  readonly keys: KeyBook
  /** Runs with the system's wall clock until a test moves it. */
  readonly clock: { advance(durationMs: number): Promise<void> }
  readonly failures: readonly AuditEvent[]
  readonly scopeRefusals: readonly ScopeRefusal[]
  stop(): Promise<void>
}

export const TERMS: KeyTerms = { name: 'test', team: 'red', scopes: ['inference'], models: null, limits: NO_LIMITS, expiresMs: null }

export async function startKeyedServer({ isRequired = true, region = null as string | null } = {}): Promise<KeyedServer> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'inferd-keys-'))
  const store = await openStore({ file: null })
  const fake = new FakeClock()
  const offsetMs = Date.now() - fake.wallMs()
  const clock = {
    nowMs: () => fake.nowMs(),
    wallMs: () => fake.wallMs() + offsetMs,
    sleep: (durationMs: number, signal?: AbortSignal) => fake.sleep(durationMs, signal),
  }
  const ring = new KeyRing({ store, clock, onWriteFailure: () => {} })
  const failures: AuditEvent[] = []
  const scopeRefusals: ScopeRefusal[] = []
  const masterKey = () => loadMasterKey(dataDir)
  const authenticate = createAuthenticator({
    ring,
    secrets: new SigningSecrets(masterKey),
    failures: new FailureLimit(),
    onFailure: (event) => failures.push(event),
    isRequired,
    region,
    clock,
  })
  const keys = new KeyBook({ store, audit: { record: () => {} }, masterKey, clock, actor: 'test' })
  const target = await startTestServer({
    model: new FakeModel({ name: 'fake-model' }),
    authenticate,
    onScopeRefusal: (refusal) => scopeRefusals.push(refusal),
    services: { ...NO_SERVICES, credentials: keys },
  })
  const stop = async (): Promise<void> => {
    await target.server.close({ graceMs: 0 })
    await ring.close()
    await store.close()
    rmSync(dataDir, { recursive: true })
  }
  return { ...target, keys, clock: { advance: (durationMs) => fake.advance(durationMs) }, failures, scopeRefusals, stop }
}
