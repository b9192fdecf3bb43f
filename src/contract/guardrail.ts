/**
 * Guardrails: one definition for all dialects. The words follow Amazon Bedrock's guardrail API, so that its control API and ours
 * say the same; `platform/safety` evaluates them.
 */

export type GuardAction = 'block' | 'mask' | 'none'
/** Which way a rule applies; `null` = not that way. */
export interface GuardDirections {
  readonly input: GuardAction
  readonly output: GuardAction
}

export type PiiType =
  | 'EMAIL'
  | 'PHONE'
  | 'CREDIT_DEBIT_CARD_NUMBER'
  | 'INTERNATIONAL_BANK_ACCOUNT_NUMBER'
  | 'IP_ADDRESS'
  | 'MAC_ADDRESS'
  | 'URL'
  | 'US_SOCIAL_SECURITY_NUMBER'
  | 'AWS_ACCESS_KEY'
  | 'AWS_SECRET_KEY'
  | 'API_KEY'
  | 'PASSWORD'
  | 'NAME'

export type FilterStrength = 'NONE' | 'LOW' | 'MEDIUM' | 'HIGH'
export type ContentFilterType = 'HATE' | 'INSULTS' | 'SEXUAL' | 'VIOLENCE' | 'MISCONDUCT' | 'PROMPT_ATTACK'

export interface GuardrailPolicy {
  readonly words: readonly ({ readonly text: string } & GuardDirections)[]
  /** The managed list of profanity; null = off. */
  readonly profanity: GuardDirections | null
  /** Linear-time syntax (RE2). */
  readonly regexes: readonly ({ readonly name: string; readonly description: string; readonly pattern: string } & GuardDirections)[]
  readonly pii: readonly ({ readonly type: PiiType } & GuardDirections)[]
  readonly topics: readonly ({ readonly name: string; readonly definition: string; readonly examples: readonly string[] } & GuardDirections)[]
  /** Strength per direction; PROMPT_ATTACK judges input only. The others ask the classifier; without one they are refused at creation. */
  readonly contentFilters: readonly {
    readonly type: ContentFilterType
    readonly inputStrength: FilterStrength
    readonly outputStrength: FilterStrength
  }[]
  /** [0, 0.99]; below it the answer is blocked. */
  readonly grounding: { readonly groundingThreshold: number | null; readonly relevanceThreshold: number | null } | null
  /** Model of this server that gives embeddings for topics and grounding; null = lexical similarity only. */
  readonly embeddingModel: string | null
  /** Model of this server that is asked whether text falls under a content filter; null = none. */
  readonly classifierModel: string | null
}

export interface GuardrailDefinition {
  readonly name: string
  readonly description: string
  readonly blockedInputMessage: string
  readonly blockedOutputMessage: string
  readonly policy: GuardrailPolicy
}

export interface Guardrail extends GuardrailDefinition {
  readonly id: string
  /** 'DRAFT' or a number, from 1. */
  readonly version: string
  readonly team: string
  readonly createdMs: number
  readonly updatedMs: number
}

/** A part of the input with what it is for: grounding sources and the query are read, `guard_content` is judged. */
export interface GuardContent {
  readonly text: string
  readonly qualifiers: readonly ('grounding_source' | 'query' | 'guard_content')[]
}

/** One hit. Offsets are UTF-16 units of the judged text. */
export interface GuardFinding {
  readonly policy: 'word' | 'profanity' | 'regex' | 'pii' | 'topic' | 'content' | 'prompt-attack' | 'grounding' | 'relevance'
  /** The rule: the word, the regex's name, the PII type, the topic's name, the filter's type. */
  readonly rule: string
  readonly action: GuardAction
  readonly match: string
  readonly start: number
  readonly end: number
  /** Of similarity and classifier rules; null elsewhere. */
  readonly score: number | null
  readonly threshold: number | null
  readonly confidence: 'NONE' | 'LOW' | 'MEDIUM' | 'HIGH' | null
}

export interface GuardAssessment {
  readonly direction: 'input' | 'output'
  readonly findings: readonly GuardFinding[]
  readonly judgedCharacters: number
  readonly latencyMs: number
}

export interface GuardrailTrace {
  readonly guardrailId: string
  readonly version: string
  readonly intervened: boolean
  readonly assessments: readonly GuardAssessment[]
  /** Whether the caller asked to see findings. */
  readonly shown: boolean
}

export interface AppliedGuardrail {
  readonly intervened: boolean
  /** What to show instead of the content; equals the input when nothing intervened. */
  readonly outputs: readonly string[]
  readonly assessment: GuardAssessment
  readonly guardrail: Guardrail
}

export interface GuardrailQuery {
  readonly team: string
  /** Name, id or ARN. */
  readonly guardrail: string
  readonly version: string
}

/** What control APIs and ApplyGuardrail call. Methods throw InferdError: resource_not_found, conflict, invalid_parameter. */
export interface VersionTerms {
  /** '' = the draft's. */
  readonly description: string
  readonly token: string | null
}

/** What a request made. It may have come before, and what it made be gone since. */
export type MadeGuardrail = Pick<Guardrail, 'id' | 'version' | 'createdMs'>

export interface GuardrailService {
  /** A token that came before: nothing is made again, and another request with it is a conflict. null = none. */
  create(team: string, definition: GuardrailDefinition, token: string | null): Promise<MadeGuardrail>
  /** Makes an immutable numbered version of the draft; a token as for create. */
  createVersion(query: Omit<GuardrailQuery, 'version'>, terms: VersionTerms): Promise<MadeGuardrail>
  get(query: GuardrailQuery): Promise<Guardrail>
  /** One row each: drafts, and those that nobody can change. */
  list(team: string): Promise<readonly Guardrail[]>
  /** The draft and every version of one, in order. */
  versions(query: Omit<GuardrailQuery, 'version'>): Promise<readonly Guardrail[]>
  update(query: Omit<GuardrailQuery, 'version'>, definition: GuardrailDefinition): Promise<Guardrail>
  /** Without a version, all of them. */
  delete(query: Omit<GuardrailQuery, 'version'> & { readonly version: string | null }): Promise<void>
  apply(query: GuardrailQuery, direction: 'input' | 'output', content: readonly GuardContent[], signal: AbortSignal): Promise<AppliedGuardrail>
}
