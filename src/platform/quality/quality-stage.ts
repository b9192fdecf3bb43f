/**
 * The quality monitor between a target model and routing. It says in the report what it saw, and does what the policy says: nothing
 * (warn), other sampling from here on (adjust), the end of the choice with `degenerate` (stop), or giving the answer up so that another
 * model may give one (fallback), which is possible only as long as nobody has seen any of it.
 */
import type { Clock } from '#base/clock'
import type { OnlineCall, QualityFault, QualityFinding } from '#contract/call'
import { InferdError } from '#contract/errors'
import type { GenerateEvent, GenerateRequest, OutputFormat, SamplingChange, Usage } from '#contract/generate'
import { CutAnswer } from '#platform/online/cut-answer'
import type { Stage } from '#platform/online/stage'
import { JsonShape } from './json-shape.ts'
import { DEFAULT_LIMITS, StreamMonitor, type MonitorLimits } from './stream-monitor.ts'

type QualityAction = 'off' | 'warn' | 'adjust' | 'stop' | 'fallback'
export type QualityPolicy = Readonly<Record<QualityFault, QualityAction>> & {
  readonly limits?: Partial<MonitorLimits>
  /** What `adjust` samples with from the fault on. */
  readonly adjustment: SamplingChange
}

export interface QualityOptions {
  /** Of the target model; null = it is not watched. */
  readonly policyOf: (model: string) => QualityPolicy | null
  readonly clock: Clock
  /** As ServedModel.adjust. */
  readonly adjust: (model: string, request: GenerateRequest, change: SamplingChange) => boolean
}

/** `model`: the target's own name. */
export function makeQualityStage(model: string, options: QualityOptions): Stage {
  const policy = options.policyOf(model)
  if (policy === null) return (next) => next
  const canStop = Object.values(policy).includes('stop')
  return (next) => (call, signal) => {
    const terms = { call, policy, model, ...options }
    if (!canStop) return new WatchedEvents(terms, next(call, signal)[Symbol.asyncIterator](), null)
    const answer = new CutAnswer(next, { call, clock: options.clock, signal })
    return new WatchedEvents(terms, answer[Symbol.asyncIterator](), answer)
  }
}

type ChoiceEvent = Extract<GenerateEvent, { readonly choice: number }>

interface Watch extends QualityOptions {
  readonly call: OnlineCall
  readonly policy: QualityPolicy
  readonly model: string
}

/** One hop of a promise for each event. Invariant: `inner` is left as soon as nothing of it can be shown any more. */
class WatchedEvents implements AsyncIterableIterator<GenerateEvent> {
  private readonly terms: Watch
  private readonly inner: AsyncIterator<GenerateEvent>
  private readonly choices: readonly WatchedChoice[]
  private hasSent = false
  private numStopped = 0
  /** null = no fault stops it. */
  private readonly answer: CutAnswer | null
  /** Of an answer that was cut: the terminal event comes behind the event that was given last. */
  private ending: Promise<Usage> | null = null
  private isOver = false

  constructor(terms: Watch, inner: AsyncIterator<GenerateEvent>, answer: CutAnswer | null) {
    const { call, policy } = terms
    this.terms = terms
    this.inner = inner
    this.answer = answer
    this.choices = Array.from({ length: call.request.numChoices }, () => new WatchedChoice(policy, call.request.output.format))
  }

  /** Hot: per event. */
  next(): Promise<IteratorResult<GenerateEvent>> {
    const { ending } = this
    if (ending !== null) {
      this.ending = null
      return ending.then((usage) => ({ value: { type: 'response-end', usage }, done: false }))
    }
    return this.isOver ? Promise.resolve({ value: undefined, done: true }) : this.inner.next().then(this.onResult)
  }

  async return(): Promise<IteratorResult<GenerateEvent>> {
    this.ending = null
    await this.leave()
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  private readonly onResult = (result: IteratorResult<GenerateEvent>): IteratorResult<GenerateEvent> | Promise<IteratorResult<GenerateEvent>> => {
    if (result.done === true) return result
    const event = result.value
    if (!('choice' in event)) return result
    const shown = this.watch(event)
    if (this.answer !== null && this.numStopped > 0 && this.choices.every(({ isStopped, hasEnded }) => isStopped || hasEnded)) {
      this.isOver = true
      this.ending = this.answer.cut()
    }
    if (shown === event) return result
    return shown === null ? this.next() : { value: shown, done: false }
  }

  /** What is shown instead of the event: it itself, the early end of its choice, or nothing. Throws degenerate_output. */
  private watch(event: ChoiceEvent): GenerateEvent | null {
    const choice = this.choices[event.choice]!
    if (choice.isStopped) return null
    const seen = choice.see(event)
    if (seen !== null && this.report(seen, event.choice) === 'stop') {
      choice.isStopped = true
      this.numStopped++
      return { type: 'choice-end', choice: event.choice, finishReason: 'degenerate', stopString: null }
    }
    if (event.type !== 'choice-end') this.hasSent = true
    return event
  }

  private report(seen: Pick<QualityFinding, 'fault' | 'atCharacter'>, choice: number): QualityFinding['action'] {
    const { call } = this.terms
    const action = takeAction(seen.fault, this.terms, call.isBuffered || !this.hasSent)
    call.report.quality.push({ ...seen, choice, action })
    if (action === 'fallback') {
      this.leave().catch(() => {})
      throw new InferdError('degenerate_output', `the answer was given up: ${seen.fault}`)
    }
    return action
  }

  private async leave(): Promise<void> {
    if (this.isOver) return
    this.isOver = true
    if (this.answer === null) await this.inner.return?.()
    else this.answer.leave()
  }
}

/** What is done of what is wanted: a fallback only while nobody has seen anything, other sampling only where the model can. */
function takeAction(fault: QualityFault, { policy, model, call, adjust }: Watch, canFallBack: boolean): QualityFinding['action'] {
  const wanted = policy[fault]
  switch (wanted) {
    case 'stop':
      return 'stop'
    case 'fallback':
      return canFallBack ? 'fallback' : 'warn'
    case 'adjust':
      return adjust(model, call.request, policy.adjustment) ? 'adjust' : 'warn'
    case 'warn':
    case 'off':
      return 'warn'
  }
}

class WatchedChoice {
  isStopped = false
  hasEnded = false
  private readonly policy: QualityPolicy
  private readonly limits: MonitorLimits
  /** Made with the first piece that they watch: most answers have no reasoning, and many streams only wait. */
  private text: StreamMonitor | null = null
  private reasoning: StreamMonitor | null = null
  private readonly shape: JsonShape | null
  private numCharacters = 0
  /** Each fault is told once for a choice. */
  private readonly told = new Set<QualityFault>()

  constructor(policy: QualityPolicy, format: OutputFormat) {
    this.policy = policy
    this.limits = { ...DEFAULT_LIMITS, ...policy.limits }
    const isJson = format.kind === 'json-object' || format.kind === 'json-schema'
    this.shape = isJson && policy['off-schema'] !== 'off' ? new JsonShape({ isObject: format.kind === 'json-object' }) : null
  }

  /** The first new fault; a piece bears one at most. */
  see(event: ChoiceEvent): Pick<QualityFinding, 'fault' | 'atCharacter'> | null {
    if (event.type === 'choice-end') this.hasEnded = true
    if (event.type !== 'text-delta' && event.type !== 'reasoning-delta') return null
    const monitor = this.monitorOf(event.type)
    let found = this.accept(monitor.push(event.text))
    if (event.logprobs !== null) for (const { logprob } of event.logprobs) found ??= this.accept(monitor.pushLogprob(logprob))
    if (event.type === 'text-delta') {
      const at = this.shape?.push(event.text) ?? null
      if (at !== null) found ??= this.accept({ fault: 'off-schema', atCharacter: this.numCharacters + at })
      this.numCharacters += event.text.length
    }
    return found
  }

  private monitorOf(type: 'text-delta' | 'reasoning-delta'): StreamMonitor {
    if (type === 'text-delta') return (this.text ??= new StreamMonitor(this.limits))
    return (this.reasoning ??= new StreamMonitor(this.limits))
  }

  private accept(seen: Pick<QualityFinding, 'fault' | 'atCharacter'> | null): typeof seen {
    if (seen === null || this.policy[seen.fault] === 'off' || this.told.has(seen.fault)) return null
    this.told.add(seen.fault)
    return seen
  }
}
