/** `inferd compare`: how the variants of an endpoint did beside each other. */
import type { ClientConfig } from '#config/schema'
import { comparisonText, type WireComparison } from './comparison-text.ts'
import { DeploymentClient } from './deployment-client.ts'

export interface CompareArguments {
  readonly server: ClientConfig
  readonly endpoint: string
  readonly baseline: string | null
  readonly from: string | null
  readonly to: string | null
  readonly json: boolean
}

/** Throws upstream_failed with the server's own words. */
export async function compare({ server, endpoint, json, ...terms }: CompareArguments, signal: AbortSignal): Promise<void> {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(terms)) if (value !== null) query.set(name, value)
  const found = (await new DeploymentClient(server, signal).compare(endpoint, query)) as WireComparison
  process.stdout.write(json ? `${JSON.stringify(found, null, 2)}\n` : comparisonText(found))
}
