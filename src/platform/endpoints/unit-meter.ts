/** A model as it is, with what is asked of it counted on the way. */
import type { Clock } from '#base/clock'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, SamplingChange } from '#contract/generate'
import type { Delivery, ModelLoad, ServedModel, ServedModelState } from '#contract/served-model'
import { CountedEvents } from '#platform/registry/counted-events'

const BUCKET_MS = 1_000
const NUM_BUCKETS = 60
const TOKEN_BUCKETS = 10

interface Bucket {
  second: number
  numCalls: number
  numTokens: number
}

export class UnitMeter implements ServedModel {
  readonly name: string
  readonly createdSeconds: number
  private readonly served: ServedModel
  private readonly clock: Clock
  private readonly buckets: Bucket[] = Array.from({ length: NUM_BUCKETS }, () => ({ second: -1, numCalls: 0, numTokens: 0 }))
  private numRunning = 0
  private readonly idleWaiters = new Set<() => void>()

  constructor(served: ServedModel, clock: Clock) {
    this.served = served
    this.clock = clock
    this.name = served.name
    this.createdSeconds = served.createdSeconds
  }

  get state(): ServedModelState {
    return this.served.state
  }

  /** Calls that have begun and not ended. */
  get concurrency(): number {
    return this.numRunning
  }

  /** Resolves when nobody is here. */
  whenIdle(): Promise<void> {
    return this.numRunning === 0 ? Promise.resolve() : new Promise((resolve) => this.idleWaiters.add(resolve))
  }

  /** In the last minute. */
  get numCalls(): number {
    return this.sumOf(NUM_BUCKETS, ({ numCalls }) => numCalls)
  }

  /** A second, over the last ten. A call's tokens are counted when it ends. */
  get tokensPerSecond(): number {
    return this.sumOf(TOKEN_BUCKETS, ({ numTokens }) => numTokens) / TOKEN_BUCKETS
  }

  generate(request: GenerateRequest, signal: AbortSignal, delivery?: Delivery): AsyncIterable<GenerateEvent> {
    return {
      [Symbol.asyncIterator]: () => {
        this.enter()
        const events = this.served.generate(request, signal, delivery)[Symbol.asyncIterator]()
        return new CountedEvents(this.told(events), () => this.leave())
      },
    }
  }

  adjust(request: GenerateRequest, change: SamplingChange): boolean {
    return this.served.adjust?.(request, change) ?? false
  }

  async embed(request: EmbedRequest, signal: AbortSignal, onStart?: () => void): Promise<EmbedResult> {
    this.enter()
    try {
      return await this.served.embed(request, signal, onStart)
    } finally {
      this.leave()
    }
  }

  countTokens(request: CountRequest, signal: AbortSignal): Promise<number> {
    return this.served.countTokens(request, signal)
  }

  probe(signal: AbortSignal): Promise<ModelLoad> {
    return this.served.probe(signal)
  }

  whileLoading(signal: AbortSignal): Promise<void> {
    return this.served.whileLoading(signal)
  }

  private enter(): void {
    this.numRunning++
    this.bucket().numCalls++
  }

  private leave(): void {
    this.numRunning--
    if (this.numRunning > 0) return
    for (const tell of this.idleWaiters) tell()
    this.idleWaiters.clear()
  }

  private told(events: AsyncIterator<GenerateEvent>): AsyncIterator<GenerateEvent> {
    return {
      next: async () => {
        const result = await events.next()
        if (result.done !== true && (result.value.type === 'response-end' || result.value.type === 'response-error'))
          this.bucket().numTokens += result.value.usage.completionTokens
        return result
      },
      return: async () => (await events.return?.()) ?? { done: true, value: undefined },
    }
  }

  private bucket(): Bucket {
    const second = Math.floor(this.clock.nowMs() / BUCKET_MS)
    const bucket = this.buckets[second % NUM_BUCKETS]!
    if (bucket.second !== second) Object.assign(bucket, { second, numCalls: 0, numTokens: 0 })
    return bucket
  }

  private sumOf(numBuckets: number, of: (bucket: Bucket) => number): number {
    const second = Math.floor(this.clock.nowMs() / BUCKET_MS)
    return this.buckets.reduce((sum, bucket) => (bucket.second > second - numBuckets && bucket.second <= second ? sum + of(bucket) : sum), 0)
  }
}
