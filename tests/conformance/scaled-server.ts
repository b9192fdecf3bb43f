/** A server whose scaling is kept in a store, over the endpoint `chat` with one variant; nothing runs on it. */
import { systemClock } from '#base/clock'
import { StoredScaling } from '#platform/scaling/scaling-desk'
import { openStore } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import { NO_SERVICES } from '#server/services'
import { fixedDeployments } from './fake-deployments.ts'
import { startTestServer, type TestServer } from './test-server.ts'

export interface ScaledServer extends AsyncDisposable {
  readonly target: TestServer
  readonly scaling: StoredScaling
}

export async function startScaledServer(): Promise<ScaledServer> {
  const store = await openStore({ file: null })
  const table = new ResourceTable(store.db)
  await table.insert({ kind: 'endpoint', name: 'chat', document: '{}' }, 0)
  const scaling = new StoredScaling({ table, deployments: fixedDeployments, clock: systemClock })
  const target = await startTestServer({ services: { ...NO_SERVICES, deployments: fixedDeployments, scaling } })
  const stop = async (): Promise<void> => {
    await target.server.close({ graceMs: 0 })
    await store.close()
  }
  return { target, scaling, [Symbol.asyncDispose]: stop }
}
