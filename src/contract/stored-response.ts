/** Answers that are kept for their caller: what a later call may continue, read again or delete. */
import type { ErrorRecord } from '#contract/errors'
import type { ChatMessage, JsonRecord } from '#contract/generate'

export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled'

/** Only a whole answer may be continued. */
export interface StoredResponse {
  readonly id: string
  /** Nobody outside of it ever sees the response. */
  readonly team: string
  readonly model: string
  /** The response whose conversation this one continues. */
  readonly previousId: string | null
  readonly status: ResponseStatus
  readonly createdMs: number
  readonly isBackground: boolean
  /** Why it failed; null otherwise. */
  readonly error: ErrorRecord | null
  /** The answer as its dialect writes it; of an unfinished one as it was accepted. `status` and `error` above are the newer ones. */
  readonly body: JsonRecord
  /** What the caller sent, as its dialect lists it. */
  readonly inputItems: readonly JsonRecord[]
  /** What this turn adds to the conversation: the caller's messages and the answer, instructions left out. */
  readonly messages: readonly ChatMessage[]
}

export interface ResponseKey {
  readonly team: string
  readonly id: string
}

/** How an unfinished response ends. */
export interface ResponseEnding extends Pick<StoredResponse, 'error'> {
  readonly status: Exclude<ResponseStatus, 'queued' | 'in_progress'>
  /** null = as it was accepted. */
  readonly answer: Pick<StoredResponse, 'body' | 'messages'> | null
}

/** Methods throw store_failed. Another team's response is as one that does not exist. */
export interface ResponseArchive {
  add(response: StoredResponse): Promise<void>
  markRunning(key: ResponseKey): Promise<void>
  /** Does nothing, and says false, when it has ended already or is gone. */
  settle(key: ResponseKey, ending: ResponseEnding): Promise<boolean>
  get(key: ResponseKey): Promise<StoredResponse | null>
  /** All messages up to and with this response, oldest first. Throws resource_not_found when a part is gone, invalid_parameter past `maxMessages`. */
  conversation(key: ResponseKey, maxMessages: number): Promise<readonly ChatMessage[]>
  /** False = there was none. */
  delete(key: ResponseKey): Promise<boolean>
}

export interface BackgroundRun extends ResponseKey {
  /** Makes the run known before anybody is told of it. When it throws there is no run. */
  readonly prepare: () => Promise<void>
  /** Never rejects. `note` keeps one numbered frame, from 0, for whoever follows the run. */
  readonly work: (signal: AbortSignal, note: (frame: string) => void) => Promise<void>
}

/** Calls that outlive their connection. */
export interface BackgroundRuns {
  /** Throws overloaded when too many run, and what `prepare` throws. */
  start(run: BackgroundRun): Promise<void>
  /** Aborts its signal with the code `cancelled` and waits until it has ended. False = no such run here. */
  cancel(key: ResponseKey): Promise<boolean>
  /** The frames after number `after` (-1 = all), until the run ends; null = none are kept. */
  follow(key: ResponseKey, after: number, signal: AbortSignal): AsyncIterable<string> | null
}
