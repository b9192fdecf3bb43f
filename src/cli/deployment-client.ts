/** A server as `inferd apply`, `diff` and `status` talk to it. */
import type { DeclaredChange } from '#contract/declaration'
import type { Endpoint, ModelDefinition } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type { ScalableTarget } from '#contract/scaling'

export interface DeployedState {
  readonly endpoints: readonly Endpoint[]
  readonly models: readonly ModelDefinition[]
  readonly scaling: readonly ScalableTarget[]
}

export interface ServerAddress {
  readonly url: string
  /** Sent as a bearer key; null = none. */
  readonly key: string | null
}

/** Throws upstream_failed with the server's own words. */
export class DeploymentClient {
  private readonly address: ServerAddress
  private readonly signal: AbortSignal

  constructor(address: ServerAddress, signal: AbortSignal) {
    this.address = address
    this.signal = signal
  }

  state(): Promise<DeployedState> {
    return this.send<DeployedState>('GET', '', null)
  }

  /** `document`: as it was read; the server fills in what it leaves out. */
  async apply(document: unknown, { isDryRun, prune }: { readonly isDryRun: boolean; readonly prune: boolean }): Promise<readonly DeclaredChange[]> {
    const query = `?dry_run=${isDryRun}&prune=${prune}`
    return (await this.send<{ readonly changes: readonly DeclaredChange[] }>('POST', query, document)).changes
  }

  private async send<T>(method: string, query: string, body: unknown): Promise<T> {
    const { url, key } = this.address
    const headers: Record<string, string> = { 'content-type': 'application/json', ...(key === null ? {} : { authorization: `Bearer ${key}` }) }
    const target = `${url.replace(/\/+$/, '')}/inferd/v1/deployments${query}`
    const init = { method, headers, signal: this.signal, ...(body === null ? {} : { body: JSON.stringify(body) }) }
    const response = await fetch(target, init).catch((cause: unknown) => {
      throw new InferdError('upstream_failed', `no server answers at ${url}`, { cause })
    })
    const answer = (await response.json().catch(() => null)) as ({ readonly error?: { readonly message?: string } } & T) | null
    if (response.ok && answer !== null) return answer
    throw new InferdError('upstream_failed', answer?.error?.message ?? `the server answered with status ${response.status}`)
  }
}
