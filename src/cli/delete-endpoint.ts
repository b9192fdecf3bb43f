/** `inferd delete endpoint`: asked for, and waited for until its last call has ended. */
import { systemClock } from '#base/clock'
import type { ClientConfig } from '#config/schema'
import { InferdError } from '#contract/errors'
import { DeploymentClient } from './deployment-client.ts'

export interface DeleteEndpointArguments {
  readonly server: ClientConfig
  readonly name: string
  readonly waitS: number
}

const LOOK_MS = 500

/** Throws deadline_exceeded when it is still there after the wait. */
export async function deleteEndpoint({ server, name, waitS }: DeleteEndpointArguments, signal: AbortSignal): Promise<void> {
  const client = new DeploymentClient(server, signal)
  await client.deleteEndpoint(name)
  const untilMs = systemClock.nowMs() + waitS * 1000
  while (waitS > 0 && (await client.state()).endpoints.some((endpoint) => endpoint.name === name)) {
    if (systemClock.nowMs() > untilMs) throw new InferdError('deadline_exceeded', `the endpoint '${name}' is still being deleted after ${waitS} s`)
    await systemClock.sleep(LOOK_MS, signal)
  }
  process.stdout.write(`endpoint ${name} ${waitS > 0 ? 'deleted' : 'is being deleted'}\n`)
}
