/** The server with the whole online path, put together as `inferd serve` does, over fake models and a platform file given as text. */
import path from 'node:path'
import { systemClock } from '#base/clock'
import { SeededRandom } from '#base/random'
import { parsePlatformFile } from '#config/platform-file'
import type { CallCaptures } from '#contract/capture'
import type { RunWireCall } from '#contract/job'
import type { ObjectStores } from '#contract/objects'
import { DiskDamage } from '../../src/cli/disk-damage.ts'
import { openPlatform } from '../../src/cli/open-platform.ts'
import { ModelRegistry } from '#platform/registry/model-registry'
import { openStore } from '#platform/store/open-store'
import { DEFAULT_SERVER_OPTIONS } from '#server/http/server-options'
import { createLog } from '#telemetry/log'
import type { FakeModel } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

export interface ComposedServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly call: RunWireCall
  readonly objects: ObjectStores | null
  readonly captures: CallCaptures | null
  /** What the ledger has of the model so far, exact. */
  ledger(model: string): Promise<LedgerRow>
  /** Of all records that `ledger` has made sure of. */
  labels(): Promise<readonly Readonly<Record<string, string>>[]>
  /** In which each call of the ledger waited. */
  tiers(): Promise<readonly string[]>
}

export interface LedgerRow {
  readonly requests: number
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly cacheWriteTokens: number
  readonly outputTokens: number
  readonly costUsd: string
}

export interface ComposedOptions {
  /** The models are of this machine, with a worker each. */
  readonly areLocal?: boolean
  /** null = nothing is kept on the disk. */
  readonly dataDir?: string | null
}

export async function startComposedServer(
  yaml: string,
  models: readonly FakeModel[],
  { dataDir = null, areLocal = false }: ComposedOptions = {},
): Promise<ComposedServer> {
  const store = await openStore({ file: dataDir === null ? null : path.join(dataDir, 'store.db') })
  const registry = new ModelRegistry()
  for (const model of models) registry.addServed(model, areLocal ? { numReplicas: () => 1, maxRunning: null, isListed: true } : undefined)
  const platform = await openPlatform({
    store,
    dataDir,
    file: parsePlatformFile(yaml, 'platform.yaml'),
    models: registry,
    machine: null,
    maxSequences: 16,
    requestTimeoutMs: 60_000,
    maxCallBytes: DEFAULT_SERVER_OPTIONS.bodyLimitBytes,
    responseRetentionDays: 1,
    diskReserveBytes: 0,
    version: 'test',
    clock: systemClock,
    random: new SeededRandom(7),
    log: createLog('silent'),
    damage: new DiskDamage(createLog('silent')),
  })
  const target = await startTestServer({ models: registry, online: platform.online, services: platform.services })
  platform.jobs.start(target.server.call)
  return {
    url: target.url,
    port: target.port,
    call: target.server.call,
    objects: platform.services.objects,
    captures: platform.services.captures,
    ledger: (model) => ledgerRow(target, model),
    labels: async () => {
      const rows = await store.db.selectFrom('usage').select('metadata').execute()
      return rows.map(({ metadata }) => JSON.parse(metadata) as Readonly<Record<string, string>>)
    },
    tiers: async () => (await store.db.selectFrom('usage').select('tier').orderBy('wall_ms').execute()).map(({ tier }) => tier),
    [Symbol.asyncDispose]: async () => {
      await platform.jobs.drain({ graceMs: 0 })
      await target.server.close({ graceMs: 0 })
      await platform.close()
      await store.close()
    },
  }
}

async function ledgerRow({ url }: TestServer, model: string): Promise<LedgerRow> {
  const answer = await fetch(`${url}/inferd/v1/usage?model=${encodeURIComponent(model)}`)
  const { data } = (await answer.json()) as { readonly data: readonly Record<string, number | string>[] }
  const row = data[0] ?? {}
  return {
    requests: Number(row['requests'] ?? 0),
    inputTokens: Number(row['input_tokens'] ?? 0),
    cachedTokens: Number(row['cached_tokens'] ?? 0),
    cacheWriteTokens: Number(row['cache_write_tokens'] ?? 0),
    outputTokens: Number(row['output_tokens'] ?? 0),
    costUsd: String(row['cost_usd'] ?? '0'),
  }
}
