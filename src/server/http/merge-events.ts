/**
 * Several engine requests answered as one response: the prompts of one text completion call. Each source runs at most one event
 * ahead of the reader. Choice `c` of request `p` becomes choice `p * numChoices + c`.
 */
import { type ErrorRecord, fromErrorRecord, InferdError, toErrorRecord } from '#contract/errors'
import { type GenerateEvent, type GenerateRequest, NO_USAGE, type Usage } from '#contract/generate'

/** Starts request `index` of a call. */
export type StartRequest = (request: GenerateRequest, index: number, signal: AbortSignal) => AsyncIterable<GenerateEvent>

interface Arrival {
  readonly source: number
  readonly event: GenerateEvent
}

/** The counts of `response-start` are those of the request that starts first; the terminal event has the sums. */
export function generateAll(start: StartRequest, requests: readonly GenerateRequest[], signal: AbortSignal): AsyncIterable<GenerateEvent> {
  const [first] = requests
  return requests.length === 1 && first !== undefined ? start(first, 0, signal) : mergeEvents(start, requests, signal)
}

async function* mergeEvents(start: StartRequest, requests: readonly GenerateRequest[], signal: AbortSignal): AsyncGenerator<GenerateEvent> {
  const all = new AbortController()
  const sources = new SourceSet(requests.map((request, index) => lazily(() => start(request, index, AbortSignal.any([signal, all.signal])))))
  const numChoices = requests[0]?.numChoices ?? 1
  let usage = NO_USAGE
  let started = false
  let numEnded = 0
  try {
    while (numEnded < requests.length) {
      const { source, event } = await sources.next()
      if (event.type === 'response-end' || event.type === 'response-error') sources.release(source)
      else sources.advance(source)
      switch (event.type) {
        case 'response-start':
          if (!started) yield event
          started = true
          break
        case 'text-delta':
        case 'reasoning-delta':
        case 'tool-call-start':
        case 'tool-call-delta':
        case 'tool-call-end':
        case 'choice-end':
          yield { ...event, choice: source * numChoices + event.choice }
          break
        case 'response-end':
          usage = addUsage(usage, event.usage)
          numEnded++
          break
        case 'response-error':
          yield { ...event, error: placedIn(source, event.error), usage: addUsage(usage, event.usage) }
          return
      }
    }
    yield { type: 'response-end', usage }
  } finally {
    all.abort(new InferdError('cancelled', 'another prompt of the same call failed or the call was given up'))
    sources.releaseAll()
  }
}

/** A refusal thrown by the call itself arrives where the others do: from the iteration. */
async function* lazily(start: () => AsyncIterable<GenerateEvent>): AsyncGenerator<GenerateEvent> {
  yield* start()
}

/** Waits for whichever source speaks first. */
class SourceSet {
  private readonly iterators: readonly AsyncIterator<GenerateEvent>[]
  private readonly arrivals: Arrival[] = []
  private failure: InferdError | null = null
  private wake: (() => void) | null = null

  constructor(sources: readonly AsyncIterable<GenerateEvent>[]) {
    this.iterators = sources.map((source) => source[Symbol.asyncIterator]())
    for (let source = 0; source < sources.length; source++) this.advance(source)
  }

  advance(source: number): void {
    this.iterators[source]?.next().then(
      (result) => {
        if (result.done === true) this.fail(new InferdError('internal', 'internal error'))
        else this.arrivals.push({ source, event: result.value })
        this.wake?.()
      },
      (error: unknown) => this.fail(fromErrorRecord(placedIn(source, toErrorRecord(error)))),
    )
  }

  async next(): Promise<Arrival> {
    for (;;) {
      const arrival = this.arrivals.shift()
      if (arrival !== undefined) return arrival
      if (this.failure !== null) throw this.failure
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
  }

  release(source: number): void {
    this.iterators[source]?.return?.().catch(() => {})
  }

  releaseAll(): void {
    for (let source = 0; source < this.iterators.length; source++) this.release(source)
  }

  private fail(error: InferdError): void {
    this.failure ??= error
    this.wake?.()
  }
}

/** Tells which request is at fault, in front of what is at fault in it. */
function placedIn(source: number, error: ErrorRecord): ErrorRecord {
  return error.param === null ? error : { ...error, param: `requests[${source}].${error.param}` }
}

function addUsage(left: Usage, right: Usage): Usage {
  return {
    promptTokens: left.promptTokens + right.promptTokens,
    cachedTokens: left.cachedTokens + right.cachedTokens,
    cacheWriteTokens: left.cacheWriteTokens + right.cacheWriteTokens,
    completionTokens: left.completionTokens + right.completionTokens,
    reasoningTokens: left.reasoningTokens + right.reasoningTokens,
  }
}
