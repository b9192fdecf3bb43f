/**
 * The quality monitor between a target model and routing. It says in the report what it saw, and does what the policy says: nothing
 * (warn), the end of the choice with `degenerate` (stop), or giving the answer up so that another model may give one (fallback), which
 * is possible only as long as nobody has seen any of it.
 */
import type { OnlineCall, QualityFault, QualityFinding } from '#contract/call'
import { InferdError } from '#contract/errors'
import { NO_USAGE, type GenerateEvent, type OutputFormat, type Usage } from '#contract/generate'
import type { CallHandler, Stage } from '#platform/online/stage'
import { JsonShape } from './json-shape.ts'
import { DEFAULT_LIMITS, StreamMonitor, type MonitorLimits } from './stream-monitor.ts'

type QualityAction = 'off' | 'warn' | 'stop' | 'fallback'
export type QualityPolicy = Readonly<Record<QualityFault, QualityAction>> & { readonly limits?: Partial<MonitorLimits> }

export interface QualityOptions {
  /** Of the target model; null = it is not watched. */
  readonly policyOf: (model: string) => QualityPolicy | null
  /** The metric: once for each finding. */
  readonly onFinding: (model: string, finding: QualityFinding) => void
}

/** `model`: the target's own name. */
export function makeQualityStage(model: string, options: QualityOptions): Stage {
  const policy = options.policyOf(model)
  if (policy === null) return (next) => next
  return (next) => (call, signal) => watch(next, { call, policy, model, onFinding: options.onFinding }, signal)
}

interface Watch {
  readonly call: OnlineCall
  readonly policy: QualityPolicy
  readonly model: string
  readonly onFinding: QualityOptions['onFinding']
}

async function* watch(next: CallHandler, { call, policy, model, onFinding }: Watch, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
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
        const wanted = policy[seen.fault]
        const canFallBack = call.isBuffered || !hasSent
        const action = wanted === 'fallback' ? (canFallBack ? 'fallback' : 'warn') : wanted === 'stop' ? 'stop' : 'warn'
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
