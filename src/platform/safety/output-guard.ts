/** The answer of one call under one guardrail: a gate for each choice, the end of the model when nobody may see more of it. */
import type { Clock } from '#base/clock'
import type { GuardrailChoice, OnlineCall } from '#contract/call'
import { toErrorRecord, type ErrorRecord } from '#contract/errors'
import type { GenerateEvent } from '#contract/generate'
import type { GuardAssessment } from '#contract/guardrail'
import { CutAnswer } from '#platform/online/cut-answer'
import type { CallHandler } from '#platform/online/stage'
import { ChoiceGate } from './choice-gate.ts'
import type { CompiledPolicy } from './compiled-policy.ts'
import { boundFindings } from './evaluate.ts'

export interface OutputGuardOptions {
  /** Its request is what the model gets. */
  readonly call: OnlineCall
  readonly choice: GuardrailChoice
  readonly compiled: CompiledPolicy
  readonly blockedMessage: string
  readonly clock: Clock
  /** Called once, before the terminal event. `isChanged`: something was blocked or masked. */
  readonly onDone: (assessment: GuardAssessment, isChanged: boolean) => void
}

export async function* guardOutput(next: CallHandler, options: OutputGuardOptions, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
  const { call, clock } = options
  const answer = new CutAnswer(next, { call, clock, signal })
  const guard = new OutputGuard(options, signal)
  try {
    for await (const event of answer) {
      const shown = await guard.push(event)
      if (shown.error !== null) {
        const usage = await answer.cut()
        guard.report()
        yield { type: 'response-error', error: shown.error, usage }
        return
      }
      for (const own of shown.events) yield own
      if (guard.isOver) break
    }
    if (guard.isOver) {
      const usage = await answer.cut()
      guard.report()
      yield { type: 'response-end', usage }
    }
  } finally {
    // Whoever left early, left for good.
    answer.leave()
    guard.report()
  }
}

class OutputGuard {
  private readonly options: OutputGuardOptions
  private readonly gates: readonly ChoiceGate[]
  private isFinished = false
  private isReported = false
  private judgeMs = 0

  constructor(options: OutputGuardOptions, signal: AbortSignal) {
    const { call, choice, compiled, blockedMessage } = options
    this.options = options
    const context = choice.content ?? []
    this.gates = Array.from(
      { length: call.request.numChoices },
      (_, index) =>
        new ChoiceGate({
          choice: index,
          rules: compiled.spans.output,
          judges: { answer: compiled.judgeOf('output', context), aside: compiled.judgeOf('output', []) },
          blockedMessage,
          streaming: choice.streaming,
          isBuffered: call.isBuffered,
          signal,
        }),
    )
  }

  /** All choices are ended, one of them by us: what the model still says is of no use. */
  get isOver(): boolean {
    return !this.isFinished && this.gates.every(({ isEnded }) => isEnded) && this.gates.some(({ isCut }) => isCut)
  }

  /** `error`: what is held back cannot be judged, so the call fails. */
  async push(event: GenerateEvent): Promise<{ readonly events: readonly GenerateEvent[]; readonly error: ErrorRecord | null }> {
    if (event.type === 'response-start') return { events: [event], error: null }
    if (event.type === 'response-end' || event.type === 'response-error') {
      this.isFinished = true
      this.report()
      return { events: [event], error: null }
    }
    const beganMs = this.options.clock.nowMs()
    try {
      const events = await this.gates[event.choice]!.push(event)
      return { events, error: null }
    } catch (error) {
      this.isFinished = true
      return { events: [], error: toErrorRecord(error) }
    } finally {
      this.judgeMs += this.options.clock.nowMs() - beganMs
    }
  }

  /** Once; whoever comes later is not heard. */
  report(): void {
    if (this.isReported) return
    this.isReported = true
    const findings = this.gates.flatMap((gate) => gate.findings)
    const isAsync = this.options.choice.streaming === 'async'
    this.options.onDone(
      {
        direction: 'output',
        findings: boundFindings(findings),
        judgedCharacters: this.gates.reduce((sum, { numJudged }) => sum + numJudged, 0),
        latencyMs: this.judgeMs,
      },
      findings.some(({ action }) => action === 'block' || (action === 'mask' && !isAsync)),
    )
  }
}
