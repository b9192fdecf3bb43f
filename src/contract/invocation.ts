/**
 * Invocations that are answered later: a payload that is stored, a call that runs when there is room, and one object with what came of it.
 * Each is a job of kind 'async'; this is what dialects see of it.
 */
import type { ErrorRecord } from '#contract/errors'
import type { JobState } from '#contract/job'
import type { Principal } from '#contract/principal'

export type InvocationInput =
  /** An object that is there already, as `s3://bucket/key`. It is read when the invocation runs and never deleted. */
  | { readonly kind: 'object'; readonly uri: string }
  /** Bytes that come with the order: stored before it is accepted, deleted once its end is visible. */
  | { readonly kind: 'payload'; readonly chunks: AsyncIterable<Uint8Array>; readonly maxBytes: number | null }

export interface InvocationOrder {
  readonly principal: Principal
  /** As in `POST /endpoints/{name}/invocations`, which is the call that will run. */
  readonly endpoint: string
  readonly input: InvocationInput
  readonly contentType: string
  /** The other headers of that call, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  /** The caller's name of it: two equal orders of a team with one name are one invocation. null = it gets a name. */
  readonly inferenceId: string | null
  /** Folder below the endpoint's output location; null = none. */
  readonly outputFolder: string | null
  /** Of the output object; null = the invocation's id with `.out`. */
  readonly outputName: string | null
  /** Longest wait: what has not begun by then is expired, and never runs. */
  readonly startWithinMs: number
  /** Longest run of the call. */
  readonly timeoutMs: number
}

export interface Invocation {
  readonly id: string
  readonly inferenceId: string
  readonly endpoint: string
  readonly state: JobState
  readonly attempt: number
  /** All as `s3://bucket/key`. The output is there when it has succeeded, the failure when it has ended otherwise. */
  readonly inputLocation: string
  readonly outputLocation: string
  readonly failureLocation: string
  /** Epoch milliseconds; null = not yet. */
  readonly createdMs: number
  readonly startedMs: number | null
  readonly endedMs: number | null
  readonly startByMs: number
  readonly cancelRequestedMs: number | null
  readonly error: ErrorRecord | null
}

/** Methods throw store_failed. What belongs to another team is as what does not exist. */
export interface Invocations {
  /**
   * Resolves when payload and job are on the disk. Throws invalid_parameter for locations, payload_too_large, conflict for an inference id
   * or an output that another order has, overloaded at the bound of the backlog; with none of them is anything left behind.
   */
  accept(order: InvocationOrder, signal: AbortSignal): Promise<Invocation>
  get(team: string, id: string): Promise<Invocation | null>
  /** Idempotent; null = there is none. What has ended stays as it is. */
  cancel(team: string, id: string): Promise<Invocation | null>
  /** The invocation at each change, until it has ended; null = nothing new for a while. */
  follow(team: string, id: string, signal: AbortSignal): AsyncIterable<Invocation | null>
}
