/** What the model of a fixture does, by the words of its `# model:` line. */
import { type ErrorCode, ERRORS, InferdError } from '#contract/errors'
import type { FinishReason, GenerateEvent, GenerateRequest, Usage } from '#contract/generate'
import { fakeLogprob, sayNothing, type Script } from './fake-model.ts'

interface Part {
  readonly reasoning?: readonly string[]
  readonly text?: readonly string[]
  readonly calls?: readonly { readonly name: string; readonly arguments: readonly string[] }[]
  readonly finishReason?: FinishReason
  readonly stopString?: string
}

const WEATHER = { name: 'get_weather', arguments: ['{"city":', '"Köln"}'] }
const TIME = { name: 'get_time', arguments: ['{}'] }
/** Other than every default, so that its place in an answer is seen. */
const RETRY_AFTER_MS = 2500

const PARTS: Readonly<Record<string, Part>> = {
  speaks: { text: ['Hello', ' wörld', ' 🦊'] },
  'thinks and speaks': { reasoning: ['Let me', ' think.'], text: ['Hello', ' wörld'] },
  'calls two tools': { calls: [WEATHER, TIME], finishReason: 'tool-calls' },
  'thinks, speaks and calls': { reasoning: ['A tool.'], text: ['Looking.'], calls: [WEATHER], finishReason: 'tool-calls' },
  'meets a stop string': { text: ['Hello'], stopString: 'END' },
  'is cut': { text: ['Hello', ' wör'], finishReason: 'length' },
  'is filtered': { text: ['Not said here.'], finishReason: 'content-filter' },
  'is degenerate': { text: ['ha', 'ha'], finishReason: 'degenerate' },
  'writes JSON': { text: ['{"city":', '"Köln"}'] },
}

/** `fails CODE`: before the first event; `breaks CODE`: after a word; `is silent`; or one of PARTS. */
export function scriptOf(words: string): Script {
  const [verb = '', code = ''] = words.split(' ')
  if (verb === 'fails') return () => failing(errorOf(code))
  if (verb === 'breaks') return (request) => breaking(request, errorOf(code))
  if (words === 'is silent') return sayNothing
  const part = PARTS[words]
  if (part === undefined) throw new RangeError(`no script ${JSON.stringify(words)}`)
  return (request) => perform(part, request)
}

function errorOf(code: string): InferdError {
  if (!Object.hasOwn(ERRORS, code)) throw new RangeError(`no error code ${code}`)
  const known = code as ErrorCode
  return new InferdError(known, `words of ${known}`, ERRORS[known].retryable ? { retryAfterMs: RETRY_AFTER_MS } : {})
}

async function* failing(error: InferdError): AsyncGenerator<GenerateEvent> {
  yield* await Promise.reject<GenerateEvent[]>(error)
}

async function* breaking(request: GenerateRequest, error: InferdError): AsyncGenerator<GenerateEvent> {
  yield { type: 'response-start', promptTokens: 7, cachedTokens: 2 }
  yield textDelta(request, 0, 'Hel', 0)
  const { code, message, param, retryAfterMs } = error
  yield { type: 'response-error', error: { code, message, param, retryAfterMs }, usage: usageOf(1, 0) }
}

async function* perform(part: Part, request: GenerateRequest): AsyncGenerator<GenerateEvent> {
  yield { type: 'response-start', promptTokens: 7, cachedTokens: 2 }
  for (let choice = 0; choice < request.numChoices; choice++) yield* playChoice(part, request, choice)
  const numTokens = (part.reasoning?.length ?? 0) + (part.text?.length ?? 0) + (part.calls?.flatMap((call) => call.arguments).length ?? 0)
  yield { type: 'response-end', usage: usageOf(numTokens * request.numChoices, (part.reasoning?.length ?? 0) * request.numChoices) }
}

function* playChoice(part: Part, request: GenerateRequest, choice: number): Generator<GenerateEvent> {
  const { reasoning = [], text = [], calls = [], finishReason = 'stop', stopString = null } = part
  for (const piece of reasoning) yield { type: 'reasoning-delta', choice, text: piece, logprobs: null }
  for (const [position, piece] of text.entries()) yield textDelta(request, choice, piece, position)
  for (const [toolCall, { name, arguments: pieces }] of calls.entries()) {
    yield { type: 'tool-call-start', choice, toolCall, id: `call_${choice}_${toolCall}`, name }
    for (const argumentsText of pieces) yield { type: 'tool-call-delta', choice, toolCall, argumentsText }
    yield { type: 'tool-call-end', choice, toolCall }
  }
  yield { type: 'choice-end', choice, finishReason, stopString }
}

function textDelta({ numTopLogprobs }: GenerateRequest, choice: number, text: string, position: number): GenerateEvent {
  const logprobs = numTopLogprobs === null ? null : [fakeLogprob(text, position, numTopLogprobs)]
  return { type: 'text-delta', choice, text, logprobs }
}

function usageOf(completionTokens: number, reasoningTokens: number): Usage {
  return { promptTokens: 7, cachedTokens: 2, cacheWriteTokens: 3, completionTokens, reasoningTokens }
}
