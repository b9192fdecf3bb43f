/** One call of a caller around the request for the model: who asks, on what terms, and what is reported back. */
import type { ErrorCode } from '#contract/errors'
import type { EmbedRequest, GenerateRequest, Usage } from '#contract/generate'
import type { GuardContent, GuardrailTrace } from '#contract/guardrail'
import type { Principal } from '#contract/principal'

/** Waiting order and price. priority runs before default, flex takes what is left. reserved: within what the team has bought (provisioned throughput). */
export type ServiceTier = 'reserved' | 'priority' | 'default' | 'flex'

/** What to leave out when the messages do not fit the context. System messages, tools and the last turn always stay. */
export type TruncationStrategy = 'none' | 'oldest-turns' | 'middle-out'

export interface GuardrailChoice {
  /** Name, id or ARN. */
  readonly guardrail: string
  /** 'DRAFT' or a number. */
  readonly version: string
  readonly trace: boolean
  /** sync: text is held back until it is judged. async: text flows and the stream is cut where it turns out bad. */
  readonly streaming: 'sync' | 'async'
  /** What of the input is judged; null = all of it. */
  readonly content: readonly GuardContent[] | null
}

export interface ResponseCacheChoice {
  /** exact: the same request; semantic: also one that means the same. */
  readonly mode: 'off' | 'exact' | 'semantic'
  readonly maxAgeS: number | null
}

/** The terms of a call. */
export interface CallOptions {
  /** reserved: of the team's own reservation of the model; what is beyond it, or where there is none, is default. */
  readonly tier: ServiceTier
  readonly truncation: TruncationStrategy
  /** null = what the operator has set for the model. */
  readonly guardrail: GuardrailChoice | null
  /** null = what the operator has set. */
  readonly responseCache: ResponseCacheChoice | null
  /** The caller's own labels; they end in the ledger. */
  readonly metadata: Readonly<Record<string, string>>
}

export const DEFAULT_CALL_OPTIONS: CallOptions = {
  tier: 'default',
  truncation: 'none',
  guardrail: null,
  responseCache: null,
  metadata: {},
}

export interface CallerContext {
  readonly requestId: string
  readonly principal: Principal
  /** Family of the wire form: `openai`, `bedrock`. */
  readonly dialect: string
  /** As the caller named it. */
  readonly model: string
  readonly options: CallOptions
  /** Monotonic, when the headers were read. */
  readonly arrivedMs: number
  /** True: a record of a batch, at the price of batches. Only a job's call says so. */
  readonly isBatch?: boolean
  /** W3C trace context of the caller, as it was sent. */
  readonly traceparent?: string
  /** Stages write what they did; encoders read it at the end. */
  readonly report: CallReport
}

/** Of one answer; a call with several prompts has several. */
export interface OnlineCall extends CallerContext {
  readonly operation: 'chat' | 'text_completion'
  readonly request: GenerateRequest
  /** True: nothing is sent before the answer is whole, so that another model may still answer after any failure. */
  readonly isBuffered: boolean
}

export interface OnlineEmbedCall extends CallerContext {
  readonly operation: 'embeddings'
  readonly request: EmbedRequest
  /** Told when a model takes it up: the time before is nobody's. Given by metering. */
  readonly onStart?: () => void
}

/** In US dollars, exact: an integer of 10^-12 dollars. */
export type Picodollars = bigint

export interface TruncationReport {
  readonly strategy: TruncationStrategy
  readonly numDroppedMessages: number
  /** null = more than the context; not counted to its end. */
  readonly promptTokensBefore: number | null
  readonly promptTokensAfter: number
}

export type QualityFault = 'repetition' | 'low-entropy' | 'broken-encoding' | 'whitespace' | 'off-schema'

export interface QualityFinding {
  readonly fault: QualityFault
  readonly choice: number
  /** Characters of the choice's text before the fault. */
  readonly atCharacter: number
  readonly action: 'warn' | 'adjust' | 'stop' | 'fallback'
}

/** What became of a call. Each field has one writer; readers wait for the terminal event. */
export interface CallReport {
  /** The model that answered, by its own name. Writer: routing. */
  servedBy: string | null
  /** Models that were tried before it, and why they did not answer. Writer: routing. */
  readonly attempts: { readonly model: string; readonly error: ErrorCode }[]
  /** What the route decided about and why, for the operator. Writer: routing. */
  routeReason: string | null
  /** Writer: admission. */
  tier: ServiceTier
  /** From arrival to dispatch, milliseconds. Writer: admission. */
  queueMs: number | null
  /** From arrival to the first piece of the answer, milliseconds. Writer: metering. */
  ttftMs: number | null
  /** Writer: response cache. */
  cache: 'none' | 'exact' | 'semantic'
  /** null = nothing was left out. Writer: context. */
  truncation: TruncationReport | null
  /** null = no guardrail ran. Writer: safety. */
  guardrail: GuardrailTrace | null
  /** Writer: quality monitor. */
  readonly quality: QualityFinding[]
  /** Sum of what has been settled so far. Writer: metering. */
  usage: Usage | null
  /** True: the model was cut and did not say what it had made; `usage` counts what was seen of it. Writer: whoever cut it. */
  isUsageEstimated: boolean
  /** null = not settled yet. Writer: metering. */
  cost: Picodollars | null
}

export function newCallReport(): CallReport {
  return {
    servedBy: null,
    attempts: [],
    routeReason: null,
    tier: 'default',
    queueMs: null,
    ttftMs: null,
    cache: 'none',
    truncation: null,
    guardrail: null,
    quality: [],
    usage: null,
    isUsageEstimated: false,
    cost: null,
  }
}
