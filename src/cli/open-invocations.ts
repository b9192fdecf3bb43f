/** Asynchronous invocations put together: orders, the handler of their jobs, and the courier of their notifications. */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { PlatformFile } from '#config/platform-file'
import type { AsyncInferenceConfig } from '#config/platform-file/async-inference'
import { readSecret } from '#config/read-secret'
import { InferdError } from '#contract/errors'
import type { Invocations } from '#contract/invocation'
import type { JobDesk } from '#contract/job'
import type { ObjectStores } from '#contract/objects'
import { configuredTerms } from '#platform/invocations/async-terms'
import { Courier, type Topic } from '#platform/invocations/courier'
import type { DeployedTerms } from '#platform/invocations/deployed-terms'
import { InvocationDesk } from '#platform/invocations/invocation-desk'
import { InvocationHandler } from '#platform/invocations/invocation-handler'
import { selectBacklog } from '#platform/store/job-backlog'
import type { Store } from '#platform/store/open-store'
import { AsyncMetrics } from '#telemetry/async-metrics'
import type { Log } from '#telemetry/log'
import type { Metrics } from '#telemetry/metrics'
import { Egress } from '#upstreams/egress'
import { UpstreamClient } from '#upstreams/upstream-client'
import type { MakeHandler } from './open-jobs.ts'

export interface InvocationParts {
  readonly store: Store
  readonly desk: JobDesk
  readonly stores: ObjectStores
  readonly deployed: DeployedTerms
  readonly file: Pick<PlatformFile, 'asyncInference' | 'egress' | 'telemetry'>
  /** Of the body of one call: what the server's own door takes. */
  readonly maxCallBytes: number
  readonly metrics: Metrics
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface OpenedInvocations {
  readonly invocations: Invocations
  readonly makeHandler: MakeHandler
  /** What was not delivered is delivered after the next start. */
  close(): Promise<void>
}

/** A receiver of notifications takes them and thinks later. */
const RECEIVER_LIMITS = { connectTimeoutMs: 5_000, headersTimeoutMs: 15_000, idleTimeoutMs: 15_000, maxAnswerBytes: 65_536, maxConnections: 8 }
const CLOSED = new InferdError('shutting_down', 'the server is shutting down')

/** Throws invalid_parameter for topics that cannot be. The courier runs from here on. */
export function openInvocations(parts: InvocationParts): OpenedInvocations {
  const { store, desk, stores, deployed, file, clock, random, log } = parts
  const config = file.asyncInference
  const egress = new Egress(file.egress.hosts)
  const topics = openTopics(config, egress)
  const termsOf = deployed.over(configuredTerms(config))
  const metrics = openMetrics(parts)
  const receivers = new UpstreamClient(egress, RECEIVER_LIMITS)
  const courier = new Courier({
    store,
    desk,
    stores,
    termsOf,
    topics,
    post: (topic, message, signal) => receivers.notify({ url: topic.url, ...message }, signal),
    clock,
    random,
    onDelivery: (topic, outcome) => {
      metrics.onDelivery(topic, outcome)
      if (outcome === 'given-up') log.error({ topic }, 'a notification was not taken by its receiver and is given up')
    },
    onError: (err) => log.error({ err }, 'notifications could not be delivered'),
  })
  const { maxRunning, maxPayloadBytes } = config
  const onError = (err: unknown): void => log.error({ err }, 'payloads without an invocation could not be looked for')
  const orders = new InvocationDesk({ desk, stores, clock, termsOf, maxPayloadBytes, onError })
  const closing = new AbortController()
  const delivering = courier.run(closing.signal)
  const makeHandler: MakeHandler = (runCall) =>
    new InvocationHandler({
      runCall,
      stores,
      clock,
      termsOf,
      maxRunning,
      maxCallBytes: parts.maxCallBytes,
      tell: (job) => courier.tell(job),
      metrics,
    })
  const close = async (): Promise<void> => {
    closing.abort(CLOSED)
    orders.close()
    await delivering
    await receivers.close()
  }
  return { invocations: orders, makeHandler, close }
}

function openMetrics({ store, metrics, file, clock }: InvocationParts): AsyncMetrics {
  const backlog: ConstructorParameters<typeof AsyncMetrics>[0]['backlog'] = async () => {
    const nowMs = clock.wallMs()
    const lanes = await selectBacklog(store.db, 'async')
    return lanes.map(({ lane, numWaiting, oldestMs }) => ({ endpoint: lane, numWaiting, oldestAgeMs: Math.max(0, nowMs - oldestMs) }))
  }
  return new AsyncMetrics({ registry: metrics.registry, maxLabelValues: file.telemetry.maxLabelValues, backlog })
}

/** Every topic that somebody names is there, and its host may be reached. */
function openTopics(config: AsyncInferenceConfig, egress: Egress): readonly Topic[] {
  const names = new Set(config.topics.map(({ name }) => name))
  if (names.size !== config.topics.length) throw refused('topics: each has a name of its own')
  const named = [config, ...Object.values(config.endpoints)].flatMap(({ successTopics, errorTopics }) => [
    ...(successTopics ?? []),
    ...(errorTopics ?? []),
  ])
  const unknown = named.find((name) => !names.has(name))
  if (unknown !== undefined) throw refused(`there is no topic '${unknown}'`)
  return config.topics.map(({ name, url, secret }) => ({ name, url: egress.checkUrl(url), secret: readSecret(secret) }))
}

function refused(words: string): InferdError {
  return new InferdError('invalid_parameter', `asyncInference: ${words}`, { param: '--config' })
}
