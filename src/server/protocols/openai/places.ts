/** What the engine finds at fault in a request, as the field that an OpenAI client sent: the `param` of an error. */
import type { RequestPlace } from '#contract/generate'

/** What the operations call differently. */
export interface OperationWords {
  /** The field of the `index`-th prompt of the call; null = the engine does not say which. */
  readonly promptPath: (index: number | null) => string
  readonly maxTokens: string
  readonly numTopLogprobs: string
  /** The field by which this caller asked for a format. */
  readonly outputFormat: string
  /** The field by which this caller spoke of reasoning. */
  readonly reasoning: string
}

/** Of a caller who spoke of neither. */
const FIRST_CHOICE = { outputFormat: 'response_format', reasoning: 'reasoning_effort' }

export const CHAT_WORDS: OperationWords = {
  ...FIRST_CHOICE,
  promptPath: () => 'messages',
  maxTokens: 'max_completion_tokens',
  numTopLogprobs: 'top_logprobs',
}
export const COMPLETION_WORDS: Omit<OperationWords, 'promptPath'> = { ...FIRST_CHOICE, maxTokens: 'max_tokens', numTopLogprobs: 'logprobs' }

/** `numListed`: how many prompts the caller sent as a list, so that each has a place of its own; null = one prompt, not in a list. */
export function promptPaths(field: string, numListed: number | null): OperationWords['promptPath'] {
  return (index) => {
    if (numListed === null || (index === null && numListed > 1)) return field
    return `${field}[${index ?? 0}]`
  }
}

const SHARED_WORDS = {
  minTokens: 'min_tokens',
  stopStrings: 'stop',
  stopTokenIds: 'stop_token_ids',
  ignoreEos: 'ignore_eos',
  includeStopString: 'include_stop_str_in_output',
  numChoices: 'n',
  echo: 'echo',
  priority: 'priority',
  cacheSalt: 'cache_salt',
  'input.templateVariables': 'chat_template_kwargs',
  'output.tools': 'tools',
  'sampling.temperature': 'temperature',
  'sampling.topK': 'top_k',
  'sampling.topP': 'top_p',
  'sampling.minP': 'min_p',
  'sampling.repetitionPenalty': 'repetition_penalty',
  'sampling.presencePenalty': 'presence_penalty',
  'sampling.frequencyPenalty': 'frequency_penalty',
  'sampling.logitBias': 'logit_bias',
  'sampling.seed': 'seed',
} as const satisfies Record<Exclude<RequestPlace, 'input' | 'maxTokens' | 'numTopLogprobs' | 'output.format' | 'output.reasoning'>, string>

/** The request of a call that has several. */
const REQUEST_PREFIX = /^requests\[(\d+)\]\.(.+)$/
/** The prompt, whichever of its kinds the engine speaks of. */
const PROMPT_PLACE = /^(?:prompt|messages|input(?:\[(\d+)\])?)$/

/** A place that is not the engine's own word is returned as it is. */
export function callerPlace(place: string, words: OperationWords): string {
  const [, request, field = place] = REQUEST_PREFIX.exec(place) ?? []
  const prompt = PROMPT_PLACE.exec(field)
  if (prompt !== null) {
    const index = prompt[1] ?? request
    return words.promptPath(index === undefined ? null : Number(index))
  }
  if (field === 'maxTokens') return words.maxTokens
  if (field === 'numTopLogprobs') return words.numTopLogprobs
  if (field === 'output.format') return words.outputFormat
  if (field === 'output.reasoning') return words.reasoning
  return Object.hasOwn(SHARED_WORDS, field) ? SHARED_WORDS[field as keyof typeof SHARED_WORDS] : field
}
