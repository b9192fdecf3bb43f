/** A kind of load on a server that is killed all the time, with a journal that outlives it. */
import { setTimeout as sleep } from 'node:timers/promises'

/** The server of this moment: each life has an address of its own. */
export interface Target {
  readonly baseUrl: string
}

export interface LoadKind {
  readonly name: string
  /** What the server has acknowledged. */
  readonly numAcknowledged: number
  /** One piece of work up to its acknowledgement, which is noted. Throws when the server is away: then nobody knows whether it was taken. */
  once(target: Target): Promise<void>
  /** When no more kills come: everything acknowledged is there, whole and once, and nothing else is there twice. Waits for what still runs. */
  check(target: Target): Promise<void>
}

const DEADLINE_MS = 120_000
const POLL_MS = 50

export function post({ baseUrl }: Target, path: string, body: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return fetch(`${baseUrl}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body, signal: deadline() })
}

export async function getJson<T>({ baseUrl }: Target, path: string): Promise<T> {
  const response = await fetch(`${baseUrl}${path}`, { signal: deadline() })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`)
  return JSON.parse(text) as T
}

/** Throws what the answer said when it was a refusal. */
export async function accepted<T>(answer: Promise<Response>): Promise<T> {
  const response = await answer
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status} ${text}`)
  return JSON.parse(text) as T
}

/** The first answer that has ended. */
export async function ended<T>(look: () => Promise<T>, hasEnded: (answer: T) => boolean): Promise<T> {
  const untilMs = performance.now() + DEADLINE_MS
  for (;;) {
    const answer = await look()
    if (hasEnded(answer)) return answer
    if (performance.now() > untilMs) throw new Error(`this does not end: ${JSON.stringify(answer)}`)
    await sleep(POLL_MS)
  }
}

export function deadline(): AbortSignal {
  return AbortSignal.timeout(DEADLINE_MS)
}
