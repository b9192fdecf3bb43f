/** Kept responses over the store: per team, for a limited time; what no restart survives is failed, not lost. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { ChatMessage } from '#contract/generate'
import type { ResponseArchive, ResponseEnding, ResponseKey, StoredResponse } from '#contract/stored-response'
import type { Store } from '#platform/store/open-store'
import {
  deleteExpiredResponses,
  deleteResponse,
  failUnfinishedResponses,
  insertResponse,
  type ResponseRow,
  selectChain,
  selectResponse,
  updateUnfinishedResponse,
} from '#platform/store/response-rows'

const SWEEP_INTERVAL_MS = 3_600_000

export interface ResponseArchiveOptions {
  readonly store: Store
  readonly clock: Clock
  /** From the last response of a conversation. */
  readonly retentionMs: number
}

export class StoredResponses implements ResponseArchive {
  private readonly options: ResponseArchiveOptions

  constructor(options: ResponseArchiveOptions) {
    this.options = options
  }

  /** To be called once, before any run starts: what the process before this one has left unfinished will never end. Returns how many. */
  failUnfinished(): Promise<number> {
    const error = { code: 'replica_lost', message: 'the server was restarted before the response was finished', param: null, retryAfterMs: null }
    return failUnfinishedResponses(this.options.store.db, JSON.stringify(error))
  }

  /** Deletes what has expired, now and then every hour, until the signal aborts. Calls `onError` when the store fails, and goes on. */
  async sweep(signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
    while (!signal.aborted) {
      await deleteExpiredResponses(this.options.store.db, this.options.clock.wallMs()).catch(onError)
      await this.options.clock.sleep(SWEEP_INTERVAL_MS, signal).catch(() => {})
    }
  }

  async add(response: StoredResponse): Promise<void> {
    const { store, retentionMs } = this.options
    await insertResponse(store.db, {
      id: response.id,
      team: response.team,
      model: response.model,
      previous_id: response.previousId,
      status: response.status,
      is_background: response.isBackground ? 1 : 0,
      created_ms: response.createdMs,
      expires_ms: response.createdMs + retentionMs,
      error: response.error === null ? null : JSON.stringify(response.error),
      body: JSON.stringify(response.body),
      input_items: JSON.stringify(response.inputItems),
      messages: JSON.stringify(response.messages),
    })
  }

  async markRunning(key: ResponseKey): Promise<void> {
    await updateUnfinishedResponse(this.options.store.db, key, { status: 'in_progress' })
  }

  settle(key: ResponseKey, { status, error, answer }: ResponseEnding): Promise<boolean> {
    const kept = answer === null ? {} : { body: JSON.stringify(answer.body), messages: JSON.stringify(answer.messages) }
    return updateUnfinishedResponse(this.options.store.db, key, { status, error: error === null ? null : JSON.stringify(error), ...kept })
  }

  async get(key: ResponseKey): Promise<StoredResponse | null> {
    const row = await selectResponse(this.options.store.db, key)
    return row === null || row.expires_ms <= this.options.clock.wallMs() ? null : responseOf(row)
  }

  async conversation(key: ResponseKey, maxMessages: number): Promise<readonly ChatMessage[]> {
    const links = await selectChain(this.options.store.db, key, maxMessages)
    const oldest = links.at(-1)
    if (oldest === undefined) throw new InferdError('resource_not_found', 'the previous response does not exist')
    if (oldest.previous_id !== null && links.length < maxMessages) {
      throw new InferdError('resource_not_found', 'a response of the conversation before it was deleted')
    }
    const messages = links.toReversed().flatMap((link) => JSON.parse(link.messages) as ChatMessage[])
    if (oldest.previous_id !== null || messages.length > maxMessages) {
      throw new InferdError('invalid_parameter', `the conversation has more than ${maxMessages} messages`)
    }
    return messages
  }

  delete(key: ResponseKey): Promise<boolean> {
    return deleteResponse(this.options.store.db, key)
  }
}

/** The store holds what `add` and `settle` have written: its JSON is trusted. */
function responseOf(row: ResponseRow): StoredResponse {
  return {
    id: row.id,
    team: row.team,
    model: row.model,
    previousId: row.previous_id,
    status: row.status as StoredResponse['status'],
    createdMs: row.created_ms,
    isBackground: row.is_background === 1,
    error: row.error === null ? null : (JSON.parse(row.error) as StoredResponse['error']),
    body: JSON.parse(row.body) as StoredResponse['body'],
    inputItems: JSON.parse(row.input_items) as StoredResponse['inputItems'],
    messages: JSON.parse(row.messages) as StoredResponse['messages'],
  }
}
