/** A server as `inferd apply`, `diff`, `status` and `delete` talk to it. */
import { systemClock } from '#base/clock'
import type { ClientConfig } from '#config/schema'
import type { DeclaredChange } from '#contract/declaration'
import type { Endpoint, ModelDefinition } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type { ScalableTarget } from '#contract/scaling'

export interface DeployedState {
  readonly endpoints: readonly Endpoint[]
  readonly models: readonly ModelDefinition[]
  readonly scaling: readonly ScalableTarget[]
}

interface ServerAnswer {
  readonly error?: { readonly message?: string }
}

const PATH = '/inferd/v1/deployments'
/** Of one request; an apply waits a minute for each endpoint that it replaces. */
const DEADLINE_MS = 300_000

/** Throws upstream_failed with the server's own words. */
export class DeploymentClient {
  private readonly address: ClientConfig
  private readonly signal: AbortSignal

  /** Throws invalid_parameter for what is no URL of HTTP. */
  constructor(address: ClientConfig, signal: AbortSignal) {
    if (!/^https?:$/.test(URL.parse(address.url)?.protocol ?? ''))
      throw new InferdError('invalid_parameter', `--url must begin with http:// or https://, not '${address.url}'`, { param: '--url' })
    this.address = address
    this.signal = signal
  }

  state(): Promise<DeployedState> {
    return this.json<DeployedState>('GET', PATH)
  }

  /** `document`: as it was read; the server fills in what it leaves out. */
  async apply(document: unknown, { isDryRun, prune }: { readonly isDryRun: boolean; readonly prune: boolean }): Promise<readonly DeclaredChange[]> {
    const path = `${PATH}?dry_run=${isDryRun}&prune=${prune}`
    return (await this.json<{ readonly changes: readonly DeclaredChange[] }>('POST', path, document)).changes
  }

  async deleteEndpoint(name: string): Promise<void> {
    await this.json('DELETE', `${PATH}/endpoints/${encodeURIComponent(name)}`)
  }

  compare(endpoint: string, query: URLSearchParams): Promise<object> {
    return this.json('GET', `${PATH}/endpoints/${encodeURIComponent(endpoint)}/comparison?${query.toString()}`)
  }

  /** In the text format of Prometheus. */
  metrics(): Promise<string> {
    return this.send('GET', '/metrics')
  }

  private async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const text = await this.send(method, path, body)
    const answer = parse(text)
    if (answer === null) throw new InferdError('upstream_failed', `what answers at ${this.address.url} is no inferd server`)
    return answer as T
  }

  private async send(method: string, path: string, body?: unknown): Promise<string> {
    const { url, key } = this.address
    const headers: Record<string, string> = { 'content-type': 'application/json', ...(key === '' ? {} : { authorization: `Bearer ${key}` }) }
    const late = new AbortController()
    const ended = new AbortController()
    const reason = new InferdError('deadline_exceeded', `the server at ${url} has not answered for ${DEADLINE_MS / 1000} s`)
    systemClock.sleep(DEADLINE_MS, ended.signal).then(
      () => late.abort(reason),
      () => {},
    )
    const signal = AbortSignal.any([this.signal, late.signal])
    const init = { method, headers, signal, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    try {
      const response = await fetch(`${url.replace(/\/+$/, '')}${path}`, init)
      const text = await response.text()
      if (response.ok) return text
      throw new InferdError('upstream_failed', refusal(response.status, parse(text), key !== ''))
    } catch (cause) {
      if (cause instanceof InferdError) throw cause
      throw new InferdError('upstream_failed', `no server answers at ${url}`, { cause })
    } finally {
      ended.abort()
    }
  }
}

function refusal(status: number, answer: ServerAnswer | null, hasKey: boolean): string {
  const words = answer?.error?.message ?? `the server answered with status ${status}`
  return status === 401 && !hasKey ? `${words}; give one by --key or INFERD_KEY` : words
}

function parse(text: string): ServerAnswer | null {
  try {
    const answer: unknown = JSON.parse(text)
    return typeof answer === 'object' && answer !== null ? answer : null
  } catch {
    return null
  }
}
