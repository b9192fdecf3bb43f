/** An OpenAI-compatible server as a benchmark asks it: one request in, its times out. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { Egress } from '#upstreams/egress'
import { UpstreamClient } from '#upstreams/upstream-client'
import { type ReadAnswer, readWholeAnswer, refusalWords, StreamedAnswer } from './answer-reader.ts'
import type { SizedPrompt } from './prompt-maker.ts'
import type { RequestError, RequestOutcome } from './request-outcome.ts'

export type BenchEndpoint = 'chat' | 'completions'

export interface BenchTarget {
  /** With or without `/v1` at its end. */
  readonly url: string
  /** Sent as a bearer key; '' = none. */
  readonly key: string
  readonly model: string
  readonly endpoint: BenchEndpoint
  readonly isStreamed: boolean
  /** Fields of every body, before ours are looked at: they may replace ours. */
  readonly extraBody: Readonly<Record<string, unknown>>
  /** Of one request. */
  readonly timeoutMs: number
  readonly maxConnections: number
}

const PATHS: Readonly<Record<BenchEndpoint, string>> = { chat: 'chat/completions', completions: 'completions' }
const CONNECT_TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 256 * 2 ** 20
const MAX_REFUSAL_BYTES = 16_384

/** `http://host/v1/` from an address that has `/v1` or not. Throws invalid_parameter. */
export function apiBase(text: string): URL {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new InferdError('invalid_parameter', `--url must begin with http:// or https://, not '${text}'`, { param: '--url' })
  if (url.username !== '' || url.search !== '' || url.hash !== '')
    throw new InferdError('invalid_parameter', '--url must hold no user, no query and no fragment', { param: '--url' })
  const path = url.pathname.replace(/\/+$/, '')
  url.pathname = path.endsWith('/v1') ? `${path}/` : `${path}/v1/`
  return url
}

export class OpenAiServer {
  private readonly target: BenchTarget
  private readonly url: URL
  private readonly client: UpstreamClient
  private readonly clock: Clock

  /** Throws invalid_parameter for what is no address. */
  constructor(target: BenchTarget, clock: Clock) {
    this.target = target
    this.clock = clock
    const base = apiBase(target.url)
    this.url = new URL(PATHS[target.endpoint], base)
    const host = base.hostname.replace(/^\[(.*)\]$/, '$1')
    this.client = new UpstreamClient(new Egress([{ host, allowPrivate: true }]), {
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      headersTimeoutMs: target.timeoutMs,
      idleTimeoutMs: target.timeoutMs,
      maxAnswerBytes: MAX_ANSWER_BYTES,
      maxConnections: target.maxConnections,
    })
  }

  /** Never rejects; `cancelled` when the signal aborts. `dueMs`: when the load had it come; null = now. */
  async ask(prompt: SizedPrompt, dueMs: number | null, signal: AbortSignal): Promise<RequestOutcome> {
    const body = JSON.stringify(this.bodyOf(prompt))
    const sentMs = this.clock.nowMs()
    const late = new AbortController()
    const ended = new AbortController()
    this.clock.sleep(this.target.timeoutMs, ended.signal).then(
      () => late.abort(),
      () => {},
    )
    let read: ReadAnswer | RequestError
    try {
      read = await this.exchange(body, AbortSignal.any([signal, late.signal]))
    } catch (error) {
      if (signal.aborted) return { kind: 'cancelled' }
      read = late.signal.aborted ? { kind: 'timeout', words: `no end within ${this.target.timeoutMs / 1000} s` } : connectionError(error)
    } finally {
      ended.abort()
    }
    const endMs = this.clock.nowMs()
    return 'kind' in read ? { kind: 'failed', sentMs, endMs, error: read } : { kind: 'answered', dueMs: dueMs ?? sentMs, sentMs, endMs, ...read }
  }

  async close(): Promise<void> {
    await this.client.close()
  }

  private async exchange(body: string, signal: AbortSignal): Promise<ReadAnswer | RequestError> {
    const { key, isStreamed } = this.target
    const headers = { 'content-type': 'application/json', ...(key === '' ? {} : { authorization: `Bearer ${key}` }) }
    const answer = await this.client.answer({ url: this.url, headers, body }, signal)
    if (answer.status !== 200) return { kind: `http ${answer.status}`, words: refusalWords(await textOf(answer.body, MAX_REFUSAL_BYTES)) }
    if (!isStreamed) return readWholeAnswer(await textOf(answer.body, MAX_ANSWER_BYTES))
    const stream = new StreamedAnswer()
    let numBytes = 0
    for await (const chunk of answer.body) {
      stream.push(chunk, this.clock.nowMs())
      numBytes += chunk.length
      if (numBytes > MAX_ANSWER_BYTES) return { kind: 'unreadable', words: `the answer has more than ${MAX_ANSWER_BYTES / 2 ** 20} MiB` }
      if (stream.hasFailed) break
    }
    return stream.end()
  }

  private bodyOf({ prompt, maxTokens }: SizedPrompt): object {
    const { model, endpoint, isStreamed, extraBody } = this.target
    return {
      model,
      ...(endpoint === 'chat' ? { messages: [{ role: 'user', content: prompt }] } : { prompt }),
      max_tokens: maxTokens,
      temperature: 0,
      ...(isStreamed ? { stream: true, stream_options: { include_usage: true } } : {}),
      ...extraBody,
    }
  }
}

/** What is beyond `maxBytes` is not read. */
async function textOf(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const kept: Uint8Array[] = []
  let numBytes = 0
  for await (const chunk of chunks) {
    kept.push(chunk)
    numBytes += chunk.length
    if (numBytes >= maxBytes) break
  }
  return Buffer.concat(kept).subarray(0, maxBytes).toString('utf8')
}

function connectionError(error: unknown): RequestError {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
  const isLate = typeof code === 'string' && /TIMEOUT/.test(code)
  // An attempt at several addresses fails with a code and no message.
  return { kind: isLate ? 'timeout' : 'connection', words: [code, message].filter((part) => typeof part === 'string' && part !== '').join(': ') }
}
