/**
 * Delivers notifications: at least once each, after the end of the job is there for everybody to see, again and again with growing pauses
 * until somebody takes it or its attempts are used up. What is to be told is a row of the store, so it outlives the process.
 */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { Job, JobDesk } from '#contract/job'
import type { ObjectStores } from '#contract/objects'
import {
  deleteNotification,
  insertNotifications,
  moveNotification,
  type NotificationRow,
  selectNextNotifications,
} from '#platform/store/notification-rows'
import type { Store } from '#platform/store/open-store'
import type { TermsOf } from './async-terms.ts'
import { placesOf, specOf } from './invocation-spec.ts'
import { type Notification, notificationHeaders, notificationOf } from './notification.ts'
import { readWhole } from './payloads.ts'
import { retryDelayMs } from './retry-times.ts'

export interface Topic {
  readonly name: string
  readonly url: URL
  readonly secret: string
}

interface Letter {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Resolves when the receiver has taken it; rejects with an InferdError otherwise. */
export type Post = (topic: Topic, letter: Letter, signal: AbortSignal) => Promise<void>

export type DeliveryOutcome = 'delivered' | 'failed' | 'given-up'

export interface CourierOptions {
  readonly store: Store
  readonly desk: Pick<JobDesk, 'get'>
  readonly stores: ObjectStores
  readonly termsOf: TermsOf
  readonly topics: readonly Topic[]
  readonly post: Post
  readonly clock: Clock
  readonly random: Random
  readonly onDelivery: (topic: string, outcome: DeliveryOutcome) => void
  /** Something around a delivery failed that no receiver has to do with. */
  readonly onError: (error: unknown) => void
}

const PAGE = 32
/** A delivery takes no longer; after it another process may try. */
const DELIVERY_MS = 60_000
const IDLE_MS = 5_000
/** The end of the job is committed right after its notifications are written. */
const NOT_ENDED_MS = 100
const MAX_RESPONSE_BYTES = 131_072

export class Courier {
  private readonly options: CourierOptions
  private readonly topics: ReadonlyMap<string, Topic>
  private wake = Promise.withResolvers<void>()

  constructor(options: CourierOptions) {
    this.options = options
    this.topics = new Map(options.topics.map((topic) => [topic.name, topic]))
  }

  /** Durable when it resolves; called before the job's end is. Which of the topics hears of it is seen when it has ended. */
  async tell(job: Job): Promise<void> {
    const { store, clock } = this.options
    const { team } = job.principal
    const { successTopics, errorTopics } = this.options.termsOf(team, specOf(job).endpoint)
    const topics = [...new Set([...successTopics, ...errorTopics])]
    if (topics.length === 0) return
    const nowMs = clock.wallMs()
    const rows = topics.map((topic) => ({ job_id: job.id, topic, team, created_ms: nowMs, due_ms: nowMs, num_failures: 0 }))
    await insertNotifications(store.db, rows)
    this.wake.resolve()
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { onError } = this.options
    while (!signal.aborted) {
      const waitMs = await this.turn(signal).catch((error: unknown) => {
        if (!signal.aborted) onError(error)
        return IDLE_MS
      })
      if (waitMs > 0) await this.pause(waitMs, signal)
    }
  }

  /** Delivers what is due; returns how long nothing will be. */
  private async turn(signal: AbortSignal): Promise<number> {
    const { store, clock } = this.options
    this.wake = Promise.withResolvers()
    const nowMs = clock.wallMs()
    const rows = await selectNextNotifications(store.db, PAGE)
    const due = rows.filter(({ due_ms }) => due_ms <= nowMs)
    if (due.length === 0) return Math.min(IDLE_MS, Math.max(1, (rows[0]?.due_ms ?? Number.POSITIVE_INFINITY) - nowMs))
    await Promise.all(due.map((row) => this.deliver(row, signal)))
    return 0
  }

  private async pause(durationMs: number, signal: AbortSignal): Promise<void> {
    const waiting = new AbortController()
    const either = AbortSignal.any([signal, waiting.signal])
    await Promise.race([this.wake.promise, this.options.clock.sleep(durationMs, either).catch(() => {})])
    waiting.abort()
  }

  private async deliver(row: NotificationRow, signal: AbortSignal): Promise<void> {
    const { store, desk, clock, post, onDelivery } = this.options
    const heldUntilMs = clock.wallMs() + DELIVERY_MS
    if (!(await moveNotification(store.db, row, { due_ms: heldUntilMs, num_failures: row.num_failures }))) return
    const held = { ...row, due_ms: heldUntilMs }
    const job = await desk.get(row.team, row.job_id)
    if (job !== null && job.endedMs === null) {
      await moveNotification(store.db, held, { due_ms: clock.wallMs() + NOT_ENDED_MS, num_failures: row.num_failures })
      return
    }
    const topic = this.topics.get(row.topic)
    if (job === null || topic === undefined || !this.concerns(job, row.topic)) return deleteNotification(store.db, row)
    const notification = await this.notification(job, topic.name, signal)
    try {
      await post(topic, { headers: notificationHeaders(notification, topic.secret, clock.wallMs()), body: notification.body }, signal)
    } catch {
      if (signal.aborted) await moveNotification(store.db, held, { due_ms: clock.wallMs(), num_failures: row.num_failures })
      else await this.postpone(held)
      return
    }
    await deleteNotification(store.db, row)
    onDelivery(topic.name, 'delivered')
  }

  private async postpone(row: NotificationRow): Promise<void> {
    const { store, clock, random, onDelivery } = this.options
    const num_failures = row.num_failures + 1
    const delayMs = retryDelayMs(num_failures, random)
    onDelivery(row.topic, delayMs === null ? 'given-up' : 'failed')
    if (delayMs === null) await deleteNotification(store.db, row)
    else await moveNotification(store.db, row, { due_ms: clock.wallMs() + delayMs, num_failures })
  }

  private concerns(job: Job, topic: string): boolean {
    const { successTopics, errorTopics } = this.options.termsOf(job.principal.team, specOf(job).endpoint)
    return (job.state === 'succeeded' ? successTopics : errorTopics).includes(topic)
  }

  private async notification(job: Job, topic: string, signal: AbortSignal): Promise<Notification> {
    return notificationOf(job, { topic, response: await this.response(job, signal) })
  }

  /** null: nobody wants it, it is large, or it is gone. */
  private async response(job: Job, signal: AbortSignal): Promise<Uint8Array | null> {
    const { team } = job.principal
    const spec = specOf(job)
    const hasSucceeded = job.state === 'succeeded'
    if (!this.options.termsOf(team, spec.endpoint).includeResponseIn.includes(hasSucceeded ? 'success' : 'error')) return null
    const { outputUri, failureUri } = placesOf(job.id, spec)
    try {
      return await readWhole(this.options.stores.locate(team, hasSucceeded ? outputUri : failureUri), MAX_RESPONSE_BYTES, signal)
    } catch {
      signal.throwIfAborted()
      return null
    }
  }
}
