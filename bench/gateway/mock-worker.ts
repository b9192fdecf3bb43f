/**
 * A worker without an engine, on the gateway's own pipe: every request gets one event each step, or each few by its pace, until it has
 * its number, all events of a step in one message. The prompt says when it was sent and, unless it is an event each step, the pace; 0 = all in one message, at once. The first text tells how long the request took to get here, each text when it left.
 *
 * Argument: how many requests it runs at a time, the others waiting in order of arrival; no bound when absent.
 */
import type { CallId, FromWorker, ToWorker } from '#platform/replicas/messages'
import type { GenerateEvent } from '#contract/generate'

const NUM_EVENTS = 100
const STEP_MS = 5
const MAX_RUNNING = Number(process.argv[2] ?? Infinity)
const FACTS = {
  architecture: 'mock',
  parameters: 0,
  weightsBytes: 0,
  quantization: 'none',
  contextLength: 8192,
  vocabSize: 32_000,
  hiddenSize: 8,
  hasChatTemplate: true,
  chatTemplateProblem: null,
}
const STATS = { numRunning: 0, numWaiting: 0, numBlocks: 1000, numFreeBlocks: 1000 }

/** Milliseconds since the epoch with a fraction: one clock for all processes of the machine. */
const now = (): number => performance.timeOrigin + performance.now()
const send = (message: FromWorker): void => void process.send?.(message)

interface Running {
  readonly transitMs: number
  /** Steps from one text to the next. */
  readonly everySteps: number
  /** So that streams of one pace do not all speak in the same step. */
  readonly phase: number
  /** -1 = nothing yet. */
  numSent: number
}

const running = new Map<CallId, Running>()

process.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'load':
      return send({ type: 'ready', facts: FACTS })
    case 'generate': {
      const { input } = message.request
      const last = input.kind === 'messages' ? (input.messages.at(-1)?.content ?? '') : ''
      const [sentMs, paceMs = STEP_MS] = last.split(' ').map(Number)
      const everySteps = Math.max(1, Math.round(paceMs / STEP_MS))
      const state = { transitMs: now() - sentMs!, everySteps, phase: message.call, numSent: -1 }
      if (paceMs === 0) return sendAtOnce(message.call, state)
      return void running.set(message.call, state)
    }
    case 'probe':
      return send({ type: 'probed', call: message.call, stats: STATS as never })
    case 'abort':
      return void running.delete(message.call)
    case 'close':
      process.exit(0)
  }
})

/** The events of one message. */
class Step {
  private readonly calls: CallId[] = []
  private readonly events: GenerateEvent[] = []

  /** The next event of the call. True = it was the last one. */
  advance(call: CallId, state: Running): boolean {
    if (state.numSent < 0) {
      this.add(call, { type: 'response-start', promptTokens: 9, cachedTokens: 0 })
      state.numSent = 0
    }
    const text = state.numSent === 0 ? `t${state.transitMs.toFixed(4)};` : ''
    this.add(call, { type: 'text-delta', choice: 0, text: `${text}s${now().toFixed(4)};`, logprobs: null })
    if (++state.numSent < NUM_EVENTS) return false
    this.add(call, { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null })
    this.add(call, {
      type: 'response-end',
      usage: { promptTokens: 9, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: NUM_EVENTS, reasoningTokens: 0 },
    })
    return true
  }

  send(): void {
    const { calls, events } = this
    if (events.length > 0) send({ type: 'events', calls, events })
  }

  private add(call: CallId, event: GenerateEvent): void {
    this.calls.push(call)
    this.events.push(event)
  }
}

function sendAtOnce(call: CallId, state: Running): void {
  const step = new Step()
  while (!step.advance(call, state)) void 0
  step.send()
}

let numSteps = 0

setInterval(() => {
  numSteps++
  const step = new Step()
  let numStepped = 0
  for (const [call, state] of running) {
    if (++numStepped > MAX_RUNNING) break
    if ((numSteps + state.phase) % state.everySteps !== 0) continue
    if (step.advance(call, state)) running.delete(call)
  }
  step.send()
}, STEP_MS)

process.once('disconnect', () => process.exit(0))
