/**
 * The quality monitor between a target model and routing. It says in the report what it saw, and does what the policy says: nothing
 * (warn), other sampling from here on (adjust), the end of the choice with `degenerate` (stop), or giving the answer up so that another model may give one (fallback), which
 * is possible only as long as nobody has seen any of it.
 */
import type { OnlineCall, QualityFault, QualityFinding } from '#contract/call'
import { InferdError } from '#contract/errors'
import { type GenerateEvent, type GenerateRequest, NO_USAGE, type OutputFormat, type SamplingChange, type Usage } from '#contract/generate'
import type { CallHandler, Stage } from '#platform/online/stage'
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
  /** The metric: once for each finding. */
  readonly onFinding: (model: string, finding: QualityFinding) => void
  /** As ServedModel.adjust. */
  readonly adjust: (model: string, request: GenerateRequest, change: SamplingChange) => boolean
}

/** `model`: the target's own name. */
export function makeQualityStage(model: string, options: QualityOptions): Stage {
  const policy = options.policyOf(model)
  if (policy === null) return (next) => next
  return (next) => (call, signal) => watch(next, { call, policy, model, ...options }, signal)
}

interface Watch extends QualityOptions {
  readonly call: OnlineCall
  readonly policy: QualityPolicy
  readonly model: string
}

async function* watch(next: CallHandler, terms: Watch, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
  const { call, policy, model, onFinding } = terms
  const cut = new AbortController()
  const choices = Array.from({ length: call.request.numChoices }, () => new WatchedChoice(policy, call.request.output.format))
  let usage: Usage = NO_USAGE
  let hasSent = false
  try {
    for await (const event of next(call, AbortSignal.any([signal, cut.signal]))) {
      if (event.type === 'response-start') usage = { ...NO_USAGE, promptTokens: event.promptTokens, cachedTokens: event.cachedTokens }
      if (!('choice' in event)) {
        yield event
        continue
      }
      usage = countPiece(usage, event)
      const choice = choices[event.choice]!
      if (choice.isStopped) continue
      const seen = choice.see(event)
      if (seen !== null) {
        const action = takeAction(seen.fault, terms, call.isBuffered || !hasSent)
        const finding: QualityFinding = { ...seen, choice: event.choice, action }
        call.report.quality.push(finding)
        onFinding(model, finding)
        if (action === 'fallback') throw new InferdError('degenerate_output', `the answer was given up: ${seen.fault}`)
        if (action === 'stop') {
          choice.isStopped = true
          yield { type: 'choice-end', choice: event.choice, finishReason: 'degenerate', stopString: null }
        }
      }
      if (!choice.isStopped) {
        hasSent ||= event.type !== 'choice-end'
        yield event
      }
      if (choices.some(({ isStopped }) => isStopped) && choices.every(({ isStopped, hasEnded }) => isStopped || hasEnded)) {
        yield { type: 'response-end', usage }
        return
      }
    }
  } finally {
    cut.abort()
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
  private readonly text: StreamMonitor
  private readonly reasoning: StreamMonitor
  private readonly shape: JsonShape | null
  private numCharacters = 0
  /** Each fault is told once for a choice. */
  private readonly told = new Set<QualityFault>()

  constructor(policy: QualityPolicy, format: OutputFormat) {
    const limits = { ...DEFAULT_LIMITS, ...policy.limits }
    this.policy = policy
    this.text = new StreamMonitor(limits)
    this.reasoning = new StreamMonitor(limits)
    const isJson = format.kind === 'json-object' || format.kind === 'json-schema'
    this.shape = isJson && policy['off-schema'] !== 'off' ? new JsonShape({ isObject: format.kind === 'json-object' }) : null
  }

  /** The first new fault; a piece bears one at most. */
  see(event: Extract<GenerateEvent, { readonly choice: number }>): Pick<QualityFinding, 'fault' | 'atCharacter'> | null {
    if (event.type === 'choice-end') this.hasEnded = true
    if (event.type !== 'text-delta' && event.type !== 'reasoning-delta') return null
    const monitor = event.type === 'text-delta' ? this.text : this.reasoning
    let found = this.accept(monitor.push(event.text))
    for (const { logprob } of event.logprobs ?? []) found ??= this.accept(monitor.pushLogprob(logprob))
    if (event.type === 'text-delta') {
      const at = this.shape?.push(event.text) ?? null
      if (at !== null) found ??= this.accept({ fault: 'off-schema', atCharacter: this.numCharacters + at })
      this.numCharacters += event.text.length
    }
    return found
  }

  private accept(seen: Pick<QualityFinding, 'fault' | 'atCharacter'> | null): typeof seen {
    if (seen === null || this.policy[seen.fault] === 'off' || this.told.has(seen.fault)) return null
    this.told.add(seen.fault)
    return seen
  }
}

/** Of a model that was cut: a token for each piece is the least that it has made. */
function countPiece(usage: Usage, event: Extract<GenerateEvent, { readonly choice: number }>): Usage {
  if (event.type !== 'text-delta' && event.type !== 'reasoning-delta' && event.type !== 'tool-call-delta') return usage
  const numTokens = event.type === 'tool-call-delta' ? 1 : (event.logprobs?.length ?? 1)
  const reasoningTokens = usage.reasoningTokens + (event.type === 'reasoning-delta' ? numTokens : 0)
  return { ...usage, completionTokens: usage.completionTokens + numTokens, reasoningTokens }
}
