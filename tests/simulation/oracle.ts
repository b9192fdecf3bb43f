/** What a request must get, computed without an engine: what it would get alone. */
import { mix32 } from '#engine/sampling/draw'
import { nextNullToken } from '#engine/kernels/null/null-kernels'
import { ROOT_HASH, extendHash } from '#engine/kernels/null/null-kv-cache'
import type { GenerateTokensRequest } from '#engine/scheduler/token-request'

export interface OracleModel {
  readonly vocabSize: number
  readonly eosTokenIds: readonly number[]
}

/** Most tokens that a guide appends behind a sampled one. */
export const MAX_FORCED_TOKENS = 64

/** The token that null kernels sample for a choice that has `outputTokenIds`; mask: what its guide allows, null = everything. */
export function expectedToken(
  request: GenerateTokensRequest,
  choice: number,
  outputTokenIds: readonly number[],
  model: OracleModel,
  mask: ReadonlySet<number> | null = null,
): number {
  return nextNullToken({
    tokenIds: knownTokens(request.promptTokenIds, outputTokenIds),
    vocabSize: model.vocabSize,
    temperature: request.sampling.temperature,
    seed: (request.sampling.seed + choice) >>> 0,
    drawIndex: outputTokenIds.length,
    forbidden: forbiddenTokens(request, outputTokenIds.length, model, mask),
    allowed: mask,
  })
}

/** Whether grammar and bias together leave no token. */
export function leavesNothing(request: GenerateTokensRequest, mask: ReadonlySet<number>): boolean {
  const forbidden = biasedOut(request)
  return [...mask].every((tokenId) => forbidden.has(tokenId))
}

/** Whether a token ends its choice; isGuided: its guide masked or forced it. */
export function isStopToken(request: GenerateTokensRequest, tokenId: number, model: OracleModel, isGuided = false): boolean {
  return request.stopTokenIds.includes(tokenId) || ((isGuided || !request.ignoreEos) && model.eosTokenIds.includes(tokenId))
}

/** All delivered tokens of a choice that runs for itself up to maxTokens, the token that stops it left out. */
export function expectedTokens(request: GenerateTokensRequest, choice: number, maxTokens: number, model: OracleModel): number[] {
  const tokenIds: number[] = []
  while (tokenIds.length < maxTokens) {
    const tokenId = expectedToken(request, choice, tokenIds, model)
    if (isStopToken(request, tokenId, model)) break
    tokenIds.push(tokenId)
  }
  return tokenIds
}

/** The mean hidden state that null kernels give a prompt. */
export function expectedEmbedding(promptTokenIds: ArrayLike<number>, hiddenSize: number): number[] {
  const sum = new Array<number>(hiddenSize).fill(0)
  let hash = ROOT_HASH
  for (let position = 0; position < promptTokenIds.length; position++) {
    hash = extendHash(hash, promptTokenIds[position]!)
    for (let column = 0; column < hiddenSize; column++) sum[column] = sum[column]! + Math.fround(mix32(hash ^ column) / 2 ** 31 - 1)
  }
  return sum.map((value) => value / promptTokenIds.length)
}

/** Hashes of all prefixes of the tokens: [0] of the first token, and so on. */
export function prefixHashes(tokenIds: ArrayLike<number>): number[] {
  let hash = ROOT_HASH
  return Array.from(tokenIds, (tokenId) => (hash = extendHash(hash, tokenId)))
}

function forbiddenTokens(
  request: GenerateTokensRequest,
  numOutputTokens: number,
  model: OracleModel,
  mask: ReadonlySet<number> | null,
): ReadonlySet<number> {
  const biased = biasedOut(request)
  if (numOutputTokens >= request.minTokens) return biased
  const forbidden = new Set([...biased, ...model.eosTokenIds, ...request.stopTokenIds])
  // Where a guide allows nothing that goes on, ending wins over minTokens.
  return mask !== null && [...mask].every((tokenId) => forbidden.has(tokenId)) ? biased : forbidden
}

function biasedOut(request: GenerateTokensRequest): ReadonlySet<number> {
  const forbidden = new Set<number>()
  // Several biases for one token: the last one counts.
  for (const { tokenId, bias } of request.sampling.logitBias) {
    if (bias === -Infinity) forbidden.add(tokenId)
    else forbidden.delete(tokenId)
  }
  return forbidden
}

function* knownTokens(promptTokenIds: ArrayLike<number>, outputTokenIds: readonly number[]): Generator<number> {
  for (let index = 0; index < promptTokenIds.length; index++) yield promptTokenIds[index]!
  yield* outputTokenIds
}
