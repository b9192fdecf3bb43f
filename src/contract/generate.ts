/**
 * The neutral words of generation. Protocols decode into GenerateRequest and encode GenerateEvents; the engine
 * knows nothing else of its callers. Plain data only: these records cross the process border.
 */
import type { ErrorRecord } from '#contract/errors'
import type { Lane } from '#contract/lane'

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonRecord
/** A parsed JSON object. Read own keys only: `constructor` and `__proto__` are plain data here. */
export interface JsonRecord {
  readonly [key: string]: JsonValue
}

/** One call of a tool that the model made. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  /** JSON text of an object, as it was written. */
  readonly arguments: string
}

export type ChatMessage =
  /** `cachePoint`: the prompt up to and with this message is worth keeping; what is newly kept is counted in `cacheWriteTokens`. */
  | { readonly role: 'system' | 'user'; readonly content: string; readonly name?: string; readonly cachePoint?: true }
  /** `reasoning`: what the model thought before this answer; most templates leave it out of later turns. */
  | {
      readonly role: 'assistant'
      readonly content: string
      readonly name?: string
      readonly reasoning?: string
      readonly toolCalls?: readonly ToolCall[]
      readonly cachePoint?: true
    }
  /** The result of one call of the assistant message before it. */
  | { readonly role: 'tool'; readonly content: string; readonly toolCallId: string; readonly name?: string; readonly cachePoint?: true }

export type PromptInput =
  /** Rendered with the model's own chat template, generation prompt added. `templateVariables`: further variables of the template. */
  | { readonly kind: 'messages'; readonly messages: readonly ChatMessage[]; readonly templateVariables?: JsonRecord }
  /** Raw text. Text of control, begin and end tokens stays plain; other user-defined tokens are ordinary text. */
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly tokenIds: readonly number[] }

/** Ranges are checked by the protocol that decodes them; the engine asserts them again. */
export interface SamplingOptions {
  /** 0 = greedy. [0, 2]. */
  readonly temperature: number
  /** 0 = off. */
  readonly topK: number
  /** (0, 1]; 1 = off. */
  readonly topP: number
  /** [0, 1]; 0 = off. Keeps tokens with probability >= minP x the largest. */
  readonly minP: number
  /** [0.01, 10]; 1 = off. Over prompt and output tokens. */
  readonly repetitionPenalty: number
  /** [-2, 2]. Over output tokens. */
  readonly presencePenalty: number
  /** [-2, 2]. Over output tokens. */
  readonly frequencyPenalty: number
  readonly logitBias: readonly { readonly tokenId: number; readonly bias: number }[]
  /** Unsigned 32 bits; null = drawn at random. Choice `i` of `n` uses seed + i. */
  readonly seed: number | null
}

/** The likeliest token at every step, nothing penalized. */
export const GREEDY_SAMPLING: SamplingOptions = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  seed: null,
}

/** New values for a generation that runs; what is not named stays. */
export type SamplingChange = Partial<Omit<SamplingOptions, 'logitBias' | 'seed'>>

export interface ToolDefinition {
  readonly name: string
  readonly description: string | null
  /** JSON Schema of the arguments; null = any object. */
  readonly parameters: JsonRecord | null
  /** True: a schema that cannot be enforced refuses the request. False: arguments are then only held to be a JSON object. */
  readonly strict: boolean
}

export interface ToolOptions {
  /** At least one; names are unique. */
  readonly definitions: readonly ToolDefinition[]
  /** auto: the model decides; required: at least one call; a name: this tool; none: the model sees the tools and calls none. */
  readonly choice: 'auto' | 'required' | 'none' | { readonly name: string }
  /** False: at most one call. */
  readonly parallel: boolean
}

/** White space between the tokens of JSON output. flexible: a bounded run where JSON allows it; none: compact. */
export type JsonWhitespace = 'flexible' | 'none'

/** What the answer's text must be. Every finished answer is; one that was cut is the beginning of such a text. */
export type OutputFormat =
  | { readonly kind: 'text' }
  /** Any JSON object. */
  | { readonly kind: 'json-object'; readonly whitespace: JsonWhitespace }
  | { readonly kind: 'json-schema'; readonly schema: JsonValue; readonly whitespace: JsonWhitespace }
  /** The whole text matches; ECMAScript syntax without look-around and back references. */
  | { readonly kind: 'regex'; readonly pattern: string }
  /** EBNF in the GBNF syntax of llama.cpp; the rule `root` is the start. */
  | { readonly kind: 'grammar'; readonly source: string }
  /** One of these texts. */
  | { readonly kind: 'choice'; readonly choices: readonly string[] }

export interface ReasoningOptions {
  /** null = as the model's template does by itself. Models without a switch ignore it. */
  readonly enabled: boolean | null
  /** Given to templates that know the word; null = not given. */
  readonly effort: string | null
  /** Most tokens of reasoning; the end mark is then forced. null = no limit of its own. */
  readonly budgetTokens: number | null
}

/** What the model writes beside plain text, and how that is held to a form. */
export interface OutputOptions {
  readonly format: OutputFormat
  /** null = the model is shown no tools. */
  readonly tools: ToolOptions | null
  readonly reasoning: ReasoningOptions
}

/** Plain text, as the model writes it. */
export const PLAIN_OUTPUT: OutputOptions = {
  format: { kind: 'text' },
  tools: null,
  reasoning: { enabled: null, effort: null, budgetTokens: null },
}

export interface GenerateRequest {
  readonly requestId: string
  readonly input: PromptInput
  readonly sampling: SamplingOptions
  readonly output: OutputOptions
  /** Most output tokens per choice; null = to the end of the context. */
  readonly maxTokens: number | null
  /** End-of-sequence and stop tokens are suppressed until then. */
  readonly minTokens: number
  readonly stopStrings: readonly string[]
  readonly stopTokenIds: readonly number[]
  /** True: end-of-sequence tokens do not end the choice. */
  readonly ignoreEos: boolean
  /** Output text keeps the stop string that ended it. */
  readonly includeStopString: boolean
  /** null = no logprobs; otherwise how many alternatives per token (0..20). */
  readonly numTopLogprobs: number | null
  /** Choices that share one prompt. */
  readonly numChoices: number
  /** Prompt text is repeated at the head of each choice's text. */
  readonly echo: boolean
  /** Lower runs earlier; equal runs in order of arrival. */
  readonly priority: number
  /** The platform's to say, by the terms of the call; shared when not given. */
  readonly lane?: Lane
  /** Prefix-cache namespace: equal tokens under different salts never share blocks. */
  readonly cacheSalt: string
}

/** Asks for one greedy answer and nothing else. Decoders of protocols name every field instead: a new one is a question to each of them. */
export const PLAIN_REQUEST: Omit<GenerateRequest, 'requestId' | 'input'> = {
  sampling: GREEDY_SAMPLING,
  output: PLAIN_OUTPUT,
  maxTokens: null,
  minTokens: 0,
  stopStrings: [],
  stopTokenIds: [],
  ignoreEos: false,
  includeStopString: false,
  numTopLogprobs: null,
  numChoices: 1,
  echo: false,
  priority: 0,
  cacheSalt: '',
}

/** `priority` is from -MAX_PRIORITY to MAX_PRIORITY at every door. */
export const MAX_PRIORITY = 100

/** What is at fault in a request, as the engine names it in the `param` of its errors; each protocol has its own words for it. */
export type RequestPlace =
  | Exclude<keyof GenerateRequest, 'requestId' | 'lane' | 'sampling' | 'output'>
  | `sampling.${keyof SamplingOptions}`
  | `output.${keyof OutputOptions}`
  | 'input.templateVariables'

/**
 * tool-calls: the choice ended by itself and holds at least one call. content-filter: a guardrail took its place or cut it.
 * degenerate: the quality monitor stopped it. The engine knows the first three.
 */
export type FinishReason = 'stop' | 'length' | 'tool-calls' | 'content-filter' | 'degenerate'

export interface TokenLogprob {
  readonly tokenId: number
  /** The token's own text; may hold U+FFFD where it is a part of a code point. */
  readonly text: string
  readonly bytes: readonly number[]
  readonly logprob: number
  readonly top: readonly { readonly tokenId: number; readonly text: string; readonly bytes: readonly number[]; readonly logprob: number }[]
}

/** What a request has cost in tokens. */
export interface TokenUsage {
  readonly promptTokens: number
  /** Of promptTokens, those whose KV came from the prefix cache. */
  readonly cachedTokens: number
  /** Sum over choices, end-of-sequence tokens included. */
  readonly completionTokens: number
}

export interface Usage extends TokenUsage {
  /** Of promptTokens before the last cache point, those that were not in the prefix cache and now are; 0 without a cache point. */
  readonly cacheWriteTokens: number
  /** Of completionTokens, those of reasoning, its marks included. */
  readonly reasoningTokens: number
}

export const NO_USAGE: Usage = { promptTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 0, reasoningTokens: 0 }

/**
 * Order: response-start, then per choice deltas and calls, choice-end, then exactly one terminal event (response-end or
 * response-error). Nothing follows the terminal event. A call is tool-call-start, tool-call-delta*, tool-call-end; the calls of a
 * choice follow each other and are numbered from 0. A choice that was cut may end inside a call: then tool-call-end is missing.
 */
export type GenerateEvent =
  | { readonly type: 'response-start'; readonly promptTokens: number; readonly cachedTokens: number }
  /** `text` is whole code points; may be '' when only logprobs arrive. */
  | { readonly type: 'text-delta'; readonly choice: number; readonly text: string; readonly logprobs: readonly TokenLogprob[] | null }
  /** What the model thinks before it answers. `logprobs` as in text-delta. */
  | { readonly type: 'reasoning-delta'; readonly choice: number; readonly text: string; readonly logprobs: readonly TokenLogprob[] | null }
  | { readonly type: 'tool-call-start'; readonly choice: number; readonly toolCall: number; readonly id: string; readonly name: string }
  /** A further piece of the JSON text of the arguments. */
  | { readonly type: 'tool-call-delta'; readonly choice: number; readonly toolCall: number; readonly argumentsText: string }
  | { readonly type: 'tool-call-end'; readonly choice: number; readonly toolCall: number }
  | { readonly type: 'choice-end'; readonly choice: number; readonly finishReason: FinishReason; readonly stopString: string | null }
  | { readonly type: 'response-end'; readonly usage: Usage }
  | { readonly type: 'response-error'; readonly error: ErrorRecord; readonly usage: Usage }

export interface EmbedRequest {
  readonly requestId: string
  readonly inputs: readonly PromptInput[]
  readonly priority: number
  /** As in GenerateRequest. */
  readonly lane?: Lane
  readonly cacheSalt: string
}

export interface EmbedResult {
  /** One unit-length vector (hiddenSize) per input: mean over the final hidden states, then L2-normalized. */
  readonly vectors: readonly Float32Array[]
  readonly usage: TokenUsage
}

/** What it would be to ask: nothing is computed. */
export type CountRequest = Pick<GenerateRequest, 'input' | 'output'>

/** What a client of a loaded model may want to know before it asks. */
export interface ModelFacts {
  readonly architecture: string
  readonly parameters: number
  readonly weightsBytes: number
  readonly quantization: string
  readonly contextLength: number
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly hasChatTemplate: boolean
  /** What is wrong with the chat template, for the operator; requests with messages are refused then. */
  readonly chatTemplateProblem: string | null
}
