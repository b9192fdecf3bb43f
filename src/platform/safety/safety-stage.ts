/**
 * Guardrails on the online path. The input is judged before anything else happens to a call; the answer on its way out, held back as
 * far as it is undecided. A blocked call is an answer like any other: its text is the guardrail's message, its end `content-filter`.
 */
import type { Clock } from '#base/clock'
import type { CallReport, GuardrailChoice, OnlineCall, OnlineEmbedCall } from '#contract/call'
import { InferdError } from '#contract/errors'
import { NO_USAGE, type GenerateEvent } from '#contract/generate'
import type { GuardAssessment, Guardrail, GuardrailQuery } from '#contract/guardrail'
import type { CallHandler, Stage } from '#platform/online/stage'
import type { PolicyCache } from './compiled-policy.ts'
import { evaluate } from './evaluate.ts'
import { judgedEmbedInput, judgedInput } from './judged-input.ts'
import { guardOutput } from './output-guard.ts'

export interface SafetyOptions {
  /** Throws resource_not_found. */
  readonly resolve: (query: GuardrailQuery) => Promise<Guardrail>
  /** What the operator has set for a model; a caller's own guardrail comes on top of it and never in its place. */
  readonly defaultOf: (model: string) => GuardrailChoice | null
  readonly policies: PolicyCache
  readonly clock: Clock
}

export function makeSafetyStage(options: SafetyOptions): Stage {
  return (next) => (call, signal) => {
    const choices = choicesOf(call.options.guardrail, options.defaultOf(call.model))
    return choices.reduceRight<CallHandler>((inner, choice) => guarded(inner, choice, options), next)(call, signal)
  }
}

/** Of a call without an answer that could be replaced: throws content_blocked, or gives the call with its texts masked. */
export async function guardEmbedCall(call: OnlineEmbedCall, options: SafetyOptions, signal: AbortSignal): Promise<OnlineEmbedCall> {
  let request = call.request
  for (const choice of choicesOf(call.options.guardrail, options.defaultOf(call.model))) {
    const guardrail = await options.resolve({ team: call.principal.team, guardrail: choice.guardrail, version: choice.version })
    const input = judgedEmbedInput(request)
    const compiled = options.policies.compile(guardrail)
    const judged = await evaluate({ compiled, direction: 'input', texts: input.texts, context: [], clock: options.clock, signal })
    addTrace(call.report, { guardrail, choice, assessments: [judged.assessment], intervened: judged.isBlocked || judged.isMasked })
    if (judged.isBlocked) throw new InferdError('content_blocked', guardrail.blockedInputMessage, { param: 'input' })
    if (judged.isMasked) request = input.withTexts(judged.texts)
  }
  return { ...call, request }
}

/** The operator's first: it sees the input before the caller's, and the output after it. */
function choicesOf(asked: GuardrailChoice | null, set: GuardrailChoice | null): readonly GuardrailChoice[] {
  if (set === null) return asked === null ? [] : [asked]
  const isSame = asked !== null && asked.guardrail === set.guardrail && asked.version === set.version
  if (isSame) return [{ ...set, trace: asked.trace, streaming: set.streaming === 'async' && asked.streaming === 'async' ? 'async' : 'sync' }]
  return asked === null ? [set] : [set, asked]
}

function guarded(next: CallHandler, choice: GuardrailChoice, options: SafetyOptions): CallHandler {
  return async function* (call, signal) {
    const guardrail = await options.resolve({ team: call.principal.team, guardrail: choice.guardrail, version: choice.version })
    const compiled = options.policies.compile(guardrail)
    const input = judgedInput(call.request, choice.content)
    const judged = await evaluate({
      compiled,
      direction: 'input',
      texts: input.texts,
      context: choice.content ?? [],
      clock: options.clock,
      signal,
    })
    if (judged.isBlocked) {
      addTrace(call.report, { guardrail, choice, assessments: [judged.assessment], intervened: true })
      yield* blockedAnswer(call, guardrail)
      return
    }
    const inner: OnlineCall = judged.isMasked ? { ...call, request: input.withTexts(judged.texts) } : call
    if (compiled.spans.output === null && compiled.judgeOf('output', choice.content ?? []) === null) {
      addTrace(call.report, { guardrail, choice, assessments: [judged.assessment], intervened: judged.isMasked })
      yield* next(inner, signal)
      return
    }
    const onDone = (output: GuardAssessment, isChanged: boolean): void => {
      addTrace(call.report, { guardrail, choice, assessments: [judged.assessment, output], intervened: judged.isMasked || isChanged })
    }
    yield* guardOutput(next, { call: inner, choice, compiled, blockedMessage: guardrail.blockedOutputMessage, clock: options.clock, onDone }, signal)
  }
}

/** No token was computed for it. */
function* blockedAnswer({ request }: OnlineCall, { blockedInputMessage }: Guardrail): Generator<GenerateEvent> {
  yield { type: 'response-start', promptTokens: 0, cachedTokens: 0 }
  for (let choice = 0; choice < request.numChoices; choice++) {
    yield { type: 'text-delta', choice, text: blockedInputMessage, logprobs: null }
    yield { type: 'choice-end', choice, finishReason: 'content-filter', stopString: null }
  }
  yield { type: 'response-end', usage: NO_USAGE }
}

interface TraceEntry {
  readonly guardrail: Guardrail
  readonly choice: GuardrailChoice
  readonly assessments: readonly GuardAssessment[]
  readonly intervened: boolean
}

/** Two guardrails make one trace, under the name of the one that intervened; findings that were not asked for are left out of it. */
function addTrace(report: CallReport, { guardrail, choice, assessments, intervened }: TraceEntry): void {
  const own = choice.trace ? assessments : assessments.map((assessment) => ({ ...assessment, findings: [] }))
  const other = report.guardrail
  const isOwnName = other === null || (intervened && !other.intervened)
  report.guardrail = {
    guardrailId: isOwnName ? guardrail.id : other.guardrailId,
    version: isOwnName ? guardrail.version : other.version,
    intervened: intervened || (other?.intervened ?? false),
    assessments: other === null ? own : [...other.assessments, ...own],
    shown: choice.trace || (other?.shown ?? false),
  }
}
