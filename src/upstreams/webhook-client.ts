/** Posts to receivers of notifications: one connection rule with upstreams, no redirects, little patience, and an answer that nobody reads. */
import { Agent, request as send } from 'undici'
import { InferdError } from '#contract/errors'
import type { Egress } from './egress.ts'

const CONNECT_TIMEOUT_MS = 5_000
const ANSWER_TIMEOUT_MS = 15_000
const MAX_CONNECTIONS = 8
const MAX_ANSWER_BYTES = 65_536

export class WebhookClient {
  private readonly agent: Agent
  private readonly egress: Egress

  constructor(egress: Egress) {
    this.egress = egress
    this.agent = new Agent({
      connections: MAX_CONNECTIONS,
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
      connect: { timeout: CONNECT_TIMEOUT_MS, lookup: egress.lookup },
    })
  }

  /** Resolves for an answer of 200 to 299. Throws upstream_failed; rejects with the signal's reason when it aborts. */
  readonly post = async (url: URL, headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    try {
      await this.egress.addressOf(url)
      const answer = await send(url, { method: 'POST', headers, body, dispatcher: this.agent, signal })
      await answer.body.dump({ limit: MAX_ANSWER_BYTES, signal })
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
