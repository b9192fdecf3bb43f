/** The model to ask where none was named: the only one that the server lists. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { apiBase } from './openai-server.ts'

const DEADLINE_MS = 10_000
const MAX_NAMED = 20

export interface ServerAddress {
  readonly url: string
  /** '' = none. */
  readonly key: string
}

/** Throws upstream_failed when nobody answers or the list is none, and invalid_parameter when the choice is not ours. */
export async function findModel({ url, key }: ServerAddress, clock: Clock, signal: AbortSignal): Promise<string> {
  const ended = new AbortController()
  const late = new AbortController()
  clock.sleep(DEADLINE_MS, ended.signal).then(
    () => late.abort(),
    () => {},
  )
  try {
    const headers: Record<string, string> = key === '' ? {} : { authorization: `Bearer ${key}` }
    const response = await fetch(new URL('models', apiBase(url)), { headers, redirect: 'error', signal: AbortSignal.any([signal, late.signal]) })
    if (response.status === 401) throw new InferdError('upstream_failed', `${url} wants a key: give one by --key or INFERD_KEY`)
    return onlyOne(namesIn(await response.json().catch(() => null)), url)
  } catch (cause) {
    if (cause instanceof InferdError || signal.aborted) throw cause
    throw new InferdError('upstream_failed', `no server answers at ${url}`, { cause })
  } finally {
    ended.abort()
  }
}

function onlyOne(names: readonly string[] | null, url: string): string {
  const [name] = names ?? []
  if (names === null || name === undefined) throw new InferdError('upstream_failed', `${url} lists no models: name one by --model`)
  if (names.length === 1) return name
  const shown = names.length > MAX_NAMED ? [...names.slice(0, MAX_NAMED), '...'] : names
  throw new InferdError('invalid_parameter', `--model must name one of ${shown.join(', ')}`, { param: '--model' })
}

function namesIn(answer: unknown): readonly string[] | null {
  const { data } = (answer ?? {}) as { readonly data?: unknown }
  if (!Array.isArray(data)) return null
  return data.map((model: { readonly id?: unknown } | null) => model?.id).filter((id) => typeof id === 'string')
}
