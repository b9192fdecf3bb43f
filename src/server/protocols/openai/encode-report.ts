/** What the server did with a call beyond answering it, in the field `inferd` of the answer: there only when there is something to say. */
import type { CallReport } from '#contract/call'
import type { GuardrailTrace } from '#contract/guardrail'

export interface WireReport {
  /** Messages that were left out so that the prompt fits. */
  readonly truncation?: {
    readonly strategy: string
    readonly dropped_messages: number
    /** null = more than the context. */
    readonly prompt_tokens_before: number | null
    readonly prompt_tokens_after: number
  }
  readonly guardrail?: {
    readonly id: string
    readonly version: string
    readonly action: 'intervened' | 'none'
    /** Only when the caller asked for the trace. */
    readonly assessments?: GuardrailTrace['assessments']
  }
  /** The kept answer of an earlier request. */
  readonly cache?: 'exact' | 'semantic'
}

export interface ReportField {
  readonly inferd?: WireReport
}

export function encodeReport({ truncation, guardrail, cache }: CallReport): ReportField {
  const report: WireReport = {
    ...(truncation === null
      ? {}
      : {
          truncation: {
            strategy: truncation.strategy,
            dropped_messages: truncation.numDroppedMessages,
            prompt_tokens_before: truncation.promptTokensBefore,
            prompt_tokens_after: truncation.promptTokensAfter,
          },
        }),
    ...(guardrail === null ? {} : { guardrail: encodeTrace(guardrail) }),
    ...(cache === 'none' ? {} : { cache }),
  }
  return Object.keys(report).length === 0 ? {} : { inferd: report }
}

function encodeTrace({ guardrailId, version, intervened, assessments, shown }: GuardrailTrace): NonNullable<WireReport['guardrail']> {
  return { id: guardrailId, version, action: intervened ? 'intervened' : 'none', ...(shown ? { assessments } : {}) }
}
