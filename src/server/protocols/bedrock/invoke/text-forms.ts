/** The bodies that continue a prompt: those of Meta's Llama and of Mistral. Sources: the Bedrock user guide, "Model inference parameters". */
import { assert } from '#base/assert'
import { type FinishReason, type GenerateEvent, type GenerateRequest, PLAIN_OUTPUT, type PromptInput, type Usage } from '#contract/generate'
import { readCallOptions } from '#server/call-option-headers'
import { type FieldRules, Fields, invalid, typeMismatch } from '#server/fields'
import type { DecodeContext, Incoming } from '#server/operation'
import { readInstructPrompt } from './instruct-prompt.ts'
import type { NativeCall, NativeForm } from './native-call.ts'

const INT32_MAX = 2 ** 31 - 1
/** Of both families, when the caller names none. */
const DEFAULT_MAX_TOKENS = 512
const DEFAULT_TEMPERATURE = 0.5
const DEFAULT_TOP_P = 0.9
const DEFAULT_MISTRAL_TOP_K = 50

type WireStopReason = 'stop' | 'length'

/** How one family says it. */
interface TextWords {
  readonly rules: FieldRules
  readonly maxTokens: 'max_gen_len' | 'max_tokens'
  readonly defaultTopK: number
  whole(text: string, stopReason: WireStopReason, usage: Usage): object
  /** `stopReason` and `usage` are of the last piece. */
  piece(piece: TextPiece): object
}

interface TextPiece {
  readonly text: string
  readonly promptTokens: number | null
  readonly ending: { readonly stopReason: WireStopReason; readonly usage: Usage } | null
}

const LLAMA: TextWords = {
  rules: { prompt: 'read', max_gen_len: 'read', temperature: 'read', top_p: 'read', images: (value) => Array.isArray(value) && value.length === 0 },
  maxTokens: 'max_gen_len',
  defaultTopK: 0,
  whole: (text, stopReason, usage) => ({
    generation: text,
    prompt_token_count: usage.promptTokens,
    generation_token_count: usage.completionTokens,
    stop_reason: stopReason,
  }),
  piece: ({ text, promptTokens, ending }) => ({
    generation: text,
    prompt_token_count: promptTokens,
    generation_token_count: ending?.usage.completionTokens ?? null,
    stop_reason: ending?.stopReason ?? null,
  }),
}

const MISTRAL: TextWords = {
  rules: { prompt: 'read', max_tokens: 'read', stop: 'read', temperature: 'read', top_p: 'read', top_k: 'read' },
  maxTokens: 'max_tokens',
  defaultTopK: DEFAULT_MISTRAL_TOP_K,
  whole: (text, stopReason) => ({ outputs: [{ text, stop_reason: stopReason }] }),
  piece: ({ text, ending }) => ({ outputs: [{ text, stop_reason: ending?.stopReason ?? null }] }),
}

export const llamaForm: NativeForm = textForm(LLAMA)
export const mistralForm: NativeForm = textForm(MISTRAL)

function textForm(words: TextWords): NativeForm {
  return { idPrefix: 'cmpl-', decode: (incoming, context) => textCall(words, incoming, context) }
}

function textCall(words: TextWords, { body, headers }: Incoming, context: DecodeContext): NativeCall {
  const fields = new Fields(body)
  fields.check(words.rules)
  const request = readRequest(words, fields, context)
  return {
    operation: request.input.kind === 'messages' ? 'chat' : 'text_completion',
    requests: [request],
    options: readCallOptions(headers),
    placeOf: (place) => placeOf(place, words),
    encodeBody: ({ choices, usage }) => {
      const [choice] = choices
      assert(choice !== undefined && choices.length === 1, 'a text is continued once')
      return JSON.stringify(words.whole(choice.text, stopReasonOf(choice.finishReason), usage))
    },
    startPieces: () => startPieces(words),
  }
}

function readRequest(words: TextWords, fields: Fields, context: DecodeContext): GenerateRequest {
  return {
    requestId: context.responseId,
    input: readInput(fields, context),
    // These bodies have no place for thoughts.
    output: { ...PLAIN_OUTPUT, reasoning: { ...PLAIN_OUTPUT.reasoning, enabled: false } },
    sampling: {
      temperature: fields.number('temperature', { min: 0, max: 1 }) ?? DEFAULT_TEMPERATURE,
      topK: fields.integer('top_k', { min: 0, max: INT32_MAX }) ?? words.defaultTopK,
      topP: fields.number('top_p', { min: 0, max: 1, aboveMin: true }) ?? DEFAULT_TOP_P,
      minP: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      logitBias: [],
      seed: null,
    },
    maxTokens: fields.integer(words.maxTokens, { min: 1, max: INT32_MAX }) ?? DEFAULT_MAX_TOKENS,
    minTokens: 0,
    stopStrings: readStops(fields, context),
    stopTokenIds: [],
    ignoreEos: false,
    includeStopString: false,
    numTopLogprobs: null,
    numChoices: 1,
    echo: false,
    priority: 0,
    cacheSalt: '',
  }
}

function readInput(fields: Fields, { facts, limits }: DecodeContext): PromptInput {
  const text = fields.requiredText('prompt', { minLength: 1 })
  const messages = facts.hasChatTemplate ? readInstructPrompt(text) : null
  if (messages !== null && messages.length > limits.maxMessages) {
    throw invalid('prompt', `prompt must have at most ${limits.maxMessages} turns, got ${messages.length}`)
  }
  return messages === null ? { kind: 'text', text } : { kind: 'messages', messages }
}

function readStops(fields: Fields, { limits }: DecodeContext): readonly string[] {
  const items = fields.list('stop', { maxItems: limits.maxStopStrings }) ?? []
  return items.map((item, index) => {
    const path = `stop[${index}]`
    if (typeof item !== 'string') throw typeMismatch(path, 'a string', item)
    const numBytes = Buffer.byteLength(item)
    if (numBytes === 0 || numBytes > limits.maxStopStringBytes) {
      throw invalid(path, `${path} must have 1 to ${limits.maxStopStringBytes} bytes of UTF-8, got ${numBytes}`)
    }
    return item
  })
}

function startPieces(words: TextWords): (event: GenerateEvent) => readonly string[] {
  let promptTokens: number | null = null
  let stopReason: WireStopReason = 'stop'
  const pieceOf = (piece: Omit<TextPiece, 'promptTokens'>): readonly string[] => {
    const json = JSON.stringify(words.piece({ ...piece, promptTokens }))
    promptTokens = null
    return [json]
  }
  return (event) => {
    switch (event.type) {
      case 'response-start':
        promptTokens = event.promptTokens
        return []
      case 'text-delta':
        return event.text === '' ? [] : pieceOf({ text: event.text, ending: null })
      case 'choice-end':
        stopReason = stopReasonOf(event.finishReason)
        return []
      case 'response-end':
        return pieceOf({ text: '', ending: { stopReason, usage: event.usage } })
      default:
        return []
    }
  }
}

/** These bodies know two reasons: whole, and cut. */
function stopReasonOf(reason: FinishReason): WireStopReason {
  return reason === 'length' || reason === 'degenerate' ? 'length' : 'stop'
}

function placeOf(place: string, { maxTokens }: TextWords): string {
  const places: Readonly<Record<string, string>> = {
    input: 'prompt',
    maxTokens,
    stopStrings: 'stop',
    'sampling.temperature': 'temperature',
    'sampling.topP': 'top_p',
    'sampling.topK': 'top_k',
  }
  return Object.hasOwn(places, place) ? places[place]! : place
}
