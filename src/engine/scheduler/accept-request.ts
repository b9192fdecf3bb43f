/** The door of the core: refuses what can never run, before it queues. Everything behind it trusts a request. */
import { InferdError } from '#contract/errors'
import { MAX_PRIORITY, type RequestPlace } from '#contract/generate'
import { MAX_TOP_LOGPROBS } from '#engine/sampling/sampling-columns'
import type { GenerateTokensRequest, TokenRequest } from './token-request.ts'

interface AcceptLimits {
  readonly vocabSize: number
  readonly contextLength: number
  readonly maxSequences: number
  readonly numBlocks: number
  readonly blockSize: number
}

/** Throws InferdError: invalid_parameter, context_length_exceeded or insufficient_memory, with limit and given. `param` is a RequestPlace. */
export function checkRequest(request: TokenRequest, limits: AcceptLimits): void {
  requireInteger('priority', request.priority, -MAX_PRIORITY, MAX_PRIORITY)
  checkPrompt(request, limits)
  if (request.kind === 'generate') checkGenerate(request, limits)
}

function checkPrompt(request: TokenRequest, limits: AcceptLimits): void {
  const { promptTokenIds } = request
  const numPromptTokens = promptTokenIds.length
  if (numPromptTokens === 0) throw invalid('input', 'the prompt has no token')
  // A prompt may fill the context: the one token that is then sampled is never read.
  if (numPromptTokens > limits.contextLength) {
    const message = `the context holds ${limits.contextLength} tokens; the prompt has ${numPromptTokens}`
    throw new InferdError('context_length_exceeded', message, { param: 'input' })
  }
  const numHeld = limits.numBlocks * limits.blockSize
  if (numPromptTokens > numHeld) {
    throw new InferdError('insufficient_memory', `the request needs KV memory for ${numPromptTokens} tokens; all of it holds ${numHeld}`)
  }
  for (let index = 0; index < numPromptTokens; index++) requireTokenId('input', promptTokenIds[index]!, limits.vocabSize)
}

function checkGenerate(request: GenerateTokensRequest, limits: AcceptLimits): void {
  requireInteger('numChoices', request.numChoices, 1, limits.maxSequences)
  if (request.maxTokens !== null) requireInteger('maxTokens', request.maxTokens, 1, Number.MAX_SAFE_INTEGER)
  // What the context leaves counts too: a minimum that cannot be met is refused, not forgotten.
  const maxContextTokens = Math.max(1, limits.contextLength - request.promptTokenIds.length)
  requireInteger('minTokens', request.minTokens, 0, Math.min(request.maxTokens ?? maxContextTokens, maxContextTokens))
  if (request.numTopLogprobs !== null) requireInteger('numTopLogprobs', request.numTopLogprobs, 0, MAX_TOP_LOGPROBS)
  for (const tokenId of request.stopTokenIds) requireTokenId('stopTokenIds', tokenId, limits.vocabSize)
  checkSampling(request, limits.vocabSize)
}

function checkSampling(request: GenerateTokensRequest, vocabSize: number): void {
  const { sampling } = request
  requireInRange('sampling.temperature', sampling.temperature, 0, 2)
  requireInteger('sampling.topK', sampling.topK, 0, Number.MAX_SAFE_INTEGER)
  requireInRange('sampling.topP', sampling.topP, 0, 1)
  if (sampling.topP === 0) throw invalid('sampling.topP', 'top p is above 0')
  requireInRange('sampling.minP', sampling.minP, 0, 1)
  // Smaller or larger ones overflow the f32 logits that they scale.
  requireInRange('sampling.repetitionPenalty', sampling.repetitionPenalty, 0.01, 10)
  requireInRange('sampling.presencePenalty', sampling.presencePenalty, -2, 2)
  requireInRange('sampling.frequencyPenalty', sampling.frequencyPenalty, -2, 2)
  requireInteger('sampling.seed', sampling.seed, 0, 2 ** 32 - 1)
  for (const { tokenId, bias } of sampling.logitBias) {
    requireTokenId('sampling.logitBias', tokenId, vocabSize)
    if (Number.isNaN(bias)) throw invalid('sampling.logitBias', 'a bias is a number')
  }
}

function requireTokenId(place: RequestPlace, tokenId: number, vocabSize: number): void {
  if (Number.isInteger(tokenId) && tokenId >= 0 && tokenId < vocabSize) return
  throw invalid(place, `token ids are integers in [0, ${vocabSize - 1}]; given ${tokenId}`)
}

function requireInteger(place: RequestPlace, value: number, min: number, max: number): void {
  if (!Number.isInteger(value)) throw invalid(place, `${inWords(place)} must be an integer; given ${value}`)
  requireInRange(place, value, min, max)
}

function requireInRange(place: RequestPlace, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return
  throw invalid(place, `${inWords(place)} must be in [${min}, ${max}]; given ${value}`)
}

function invalid(place: RequestPlace, message: string): InferdError {
  return new InferdError('invalid_parameter', message, { param: place })
}

/** `sampling.topK` -> `top k`, `numChoices` -> `choices`: every protocol spells its fields in another way. */
function inWords(place: RequestPlace): string {
  return place
    .replace(/^(?:sampling\.|num(?=[A-Z]))/, '')
    .replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
    .trimStart()
}
