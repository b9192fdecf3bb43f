/**
 * The only maker of connections to other servers. Redirects are not followed, answers have a cap, waits have a deadline, and a name is
 * resolved and judged at the moment of each connection.
 */
import { Agent, request as send, type Dispatcher } from 'undici'
import { InferdError } from '#contract/errors'
import type { Delivery } from '#contract/served-model'
import type { Egress } from './egress.ts'
import { refusalError } from './upstream-error.ts'

export interface ClientLimits {
  readonly connectTimeoutMs: number
  /** To the headers of the answer: a queue and a prefill lie before them. */
  readonly headersTimeoutMs: number
  /** Between two pieces of an answer. */
  readonly idleTimeoutMs: number
  readonly maxAnswerBytes: number
  readonly maxConnections: number
}

export const DEFAULT_CLIENT_LIMITS: ClientLimits = {
  connectTimeoutMs: 5_000,
  headersTimeoutMs: 300_000,
  idleTimeoutMs: 120_000,
  maxAnswerBytes: 64 * 2 ** 20,
  maxConnections: 256,
}

const MAX_REFUSAL_BYTES = 16_384

export interface WirePost {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface WireAnswer {
  readonly status: number
  readonly body: AsyncIterable<Uint8Array>
}

export class UpstreamClient {
  private readonly agent: Agent
  private readonly egress: Egress
  private readonly limits: ClientLimits

  constructor(egress: Egress, limits: ClientLimits = DEFAULT_CLIENT_LIMITS) {
    this.egress = egress
    this.limits = limits
    this.agent = new Agent({
      connections: limits.maxConnections,
      headersTimeout: limits.headersTimeoutMs,
      bodyTimeout: limits.idleTimeoutMs,
      connect: { timeout: limits.connectTimeoutMs, lookup: egress.lookup },
    })
  }

  /** The pieces of a successful answer. Throws InferdError, by the words of `model`; rejects with the signal's reason when it aborts. */
  async *post(model: string, { url, headers, body }: WirePost, signal: AbortSignal, delivery: Delivery = 'stream'): AsyncGenerator<Uint8Array, void> {
    signal.throwIfAborted()
    let answer: Dispatcher.ResponseData | null = null
    try {
      // An address in the URL is never looked up by the connector: it is judged here.
      await this.egress.addressOf(url)
      // All of a whole answer is computed before its headers: only the caller's own deadline says how long that may take.
      const patience = delivery === 'whole' ? { headersTimeout: 0 } : {}
      answer = await send(url, { method: 'POST', headers, body, dispatcher: this.agent, signal, ...patience })
      if (answer.statusCode !== 200) throw await refusal(model, answer)
      let numBytes = 0
      for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
        numBytes += chunk.length
        if (numBytes > this.limits.maxAnswerBytes) throw new InferdError('upstream_failed', `the server behind the model '${model}' sent too much`)
        yield chunk
      }
    } catch (error) {
      signal.throwIfAborted()
      throw connectionError(model, error)
    } finally {
      // What was not read to its end is not read any more.
      answer?.body.on('error', () => {}).destroy()
    }
  }

  /** As post, as one text. */
  async postWhole(model: string, post: WirePost, signal: AbortSignal): Promise<string> {
    const chunks: Uint8Array[] = []
    for await (const chunk of this.post(model, post, signal)) chunks.push(chunk)
    return Buffer.concat(chunks).toString('utf8')
  }

  /**
   * As it comes, for those who judge it themselves. The body is to be read to its end or left by `return`. Rejects with the signal's reason when it
   * aborts, and with what the connection failed of.
   */
  async answer({ url, headers, body }: WirePost, signal: AbortSignal): Promise<WireAnswer> {
    await this.egress.checkAddress(url)
    const { statusCode, body: pieces } = await send(url, { method: 'POST', headers, body, dispatcher: this.agent, signal })
    return { status: statusCode, body: pieces }
  }

  /** For a receiver whose answer nobody reads. Throws upstream_failed unless it is 200 to 299; rejects with the signal's reason when it aborts. */
  async notify({ url, headers, body }: WirePost, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    try {
      await this.egress.addressOf(url)
      const answer = await send(url, { method: 'POST', headers, body, dispatcher: this.agent, signal })
      await answer.body.dump({ limit: this.limits.maxAnswerBytes, signal })
      if (answer.statusCode < 200 || answer.statusCode > 299) throw new InferdError('upstream_failed', `the receiver answered ${answer.statusCode}`)
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof InferdError ? error : new InferdError('upstream_failed', 'the receiver cannot be reached', { cause: error })
    }
  }

  async close(): Promise<void> {
    await this.agent.destroy()
  }
}

async function refusal(model: string, { statusCode, headers, body }: Dispatcher.ResponseData): Promise<InferdError> {
  const chunks: Uint8Array[] = []
  let numBytes = 0
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk)
    numBytes += chunk.length
    if (numBytes >= MAX_REFUSAL_BYTES) break
  }
  const retryAfter = headers['retry-after']
  const text = Buffer.concat(chunks).subarray(0, MAX_REFUSAL_BYTES).toString('utf8')
  return refusalError(model, { status: statusCode, retryAfter: typeof retryAfter === 'string' ? retryAfter : null, text })
}

function connectionError(model: string, error: unknown): InferdError {
  if (error instanceof InferdError) return error
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  if (cause instanceof InferdError) return cause
  const isLate = typeof code === 'string' && /TIMEOUT/.test(code)
  if (isLate) return new InferdError('deadline_exceeded', `the server behind the model '${model}' took too long`, { cause: error })
  return new InferdError('upstream_failed', `the server behind the model '${model}' cannot be reached`, { cause: error })
}
