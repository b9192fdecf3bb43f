/** What one simulation run looks like, drawn from its seed: the shape of the core, the load, and each request. */
import { engineCoreOptions } from '#engine/engine-core-options'
import { FakeGuide, type GuideFault } from './fake-guide.ts'
import type { Random } from '#base/random'
import type { Lane } from '#contract/lane'
import type { EngineCoreOptions } from '#engine/engine-core-options'
import type { EmbedTokensRequest, GenerateTokensRequest, SeededSampling, TokenRequest } from '#engine/scheduler/token-request'

export const VOCAB_SIZE = 256
export const HIDDEN_SIZE = 4
export const EOS_TOKEN_ID = 0
/** A sequence whose last token is this one gets non-finite logits. */
export const POISON_TOKEN_ID = 1

export interface Scenario {
  readonly options: EngineCoreOptions
  /** Chance of a new request, an abort and a finishChoice at each opportunity. */
  readonly arrivalChance: number
  readonly abortChance: number
  readonly finishChance: number
  readonly maxLiveRequests: number
  /** What a step costs: how much of it the background gets depends on that. */
  readonly msPerToken: number
  readonly prefixes: readonly (readonly number[])[]
  readonly ending: 'drain' | 'close' | 'executor-failure'
}

export function drawScenario(random: Random): Scenario {
  const blockSize = pick(random, [1, 2, 4, 8, 16])
  const contextLength = 8 + random.nextInt(73)
  const blocksPerContext = Math.ceil(contextLength / blockSize)
  // From less than one context to a few of them: most runs live under memory pressure.
  const numBlocks = Math.max(2, Math.ceil(blocksPerContext * (0.6 + random.nextFloat() * 4)))
  const maxSequences = 1 + random.nextInt(12)
  const maxTokensPerStep = maxSequences + random.nextInt(40)
  const options = engineCoreOptions({
    contextLength,
    blockSize,
    numBlocks,
    maxSequences,
    maxTokensPerStep,
    maxPrefillTokensWithDecodes: 1 + random.nextInt(maxTokensPerStep),
    maxOutputsPerStep: maxSequences + random.nextInt(8),
    maxWaitingRequests: 4 + random.nextInt(30),
    admissionWatermarkBlocks: random.nextInt(3),
    priorityAgingSteps: pick(random, [1, 20, 200]),
    enablePrefixCache: random.nextInt(5) > 0,
    eosTokenIds: [EOS_TOKEN_ID],
    vocabSize: VOCAB_SIZE,
    hiddenSize: HIDDEN_SIZE,
    modelIdentity: 'null',
  })
  return {
    options,
    arrivalChance: pick(random, [0.02, 0.1, 0.3, 0.8]),
    abortChance: pick(random, [0, 0.01, 0.05]),
    finishChance: pick(random, [0, 0.01, 0.05]),
    maxLiveRequests: 1 + random.nextInt(40),
    msPerToken: pick(random, [0, 0.1, 2, 50]),
    prefixes: Array.from({ length: 3 }, () => drawTokens(random, contextLength)),
    ending: pick(random, ['drain', 'drain', 'drain', 'close', 'executor-failure']),
  }
}

export function drawRequest(random: Random, { options, prefixes }: Scenario): TokenRequest {
  const prefix = pick(random, prefixes)
  const numShared = random.nextInt(Math.floor(options.contextLength * 0.8))
  const promptTokenIds = [...prefix.slice(0, numShared), ...drawTokens(random, 1 + random.nextInt(6))]
  const kind = random.nextInt(8) === 0 ? 'embed' : 'generate'
  const base = {
    promptTokenIds,
    priority: random.nextInt(5) - 2,
    lane: pick<Lane>(random, ['reserved', 'shared', 'shared', 'background']),
    cacheSalt: pick(random, ['', 'tenant-a', 'tenant-b']),
  }
  return kind === 'embed' ? ({ ...base, kind } satisfies EmbedTokensRequest) : drawGenerate(random, base, options)
}

function drawGenerate(random: Random, base: Omit<EmbedTokensRequest, 'kind'>, options: EngineCoreOptions): GenerateTokensRequest {
  const maxTokens = random.nextInt(6) === 0 ? null : 1 + random.nextInt(options.contextLength)
  // A minimum that the context cannot hold is refused at the door.
  const maxMinimum = Math.min(maxTokens ?? 10, Math.max(1, options.contextLength - base.promptTokenIds.length))
  const numChoices = random.nextInt(3) > 0 ? 1 : 1 + random.nextInt(options.maxSequences)
  return {
    ...base,
    kind: 'generate',
    sampling: drawSampling(random),
    numChoices,
    maxTokens,
    minTokens: random.nextInt(3) > 0 ? 0 : random.nextInt(1 + maxMinimum),
    stopTokenIds: random.nextInt(3) > 0 ? [] : drawTokens(random, 1 + random.nextInt(10)),
    ignoreEos: random.nextInt(2) === 0,
    numTopLogprobs: random.nextInt(4) > 0 ? null : random.nextInt(21),
    guides: random.nextInt(3) > 0 ? null : drawGuides(random, numChoices),
  }
}

function drawGuides(random: Random, numChoices: number): FakeGuide[] {
  const faults: readonly GuideFault[] = ['isConstrained', 'fillMask', 'accept', 'forcedTokens', 'isComplete', 'known']
  return Array.from({ length: numChoices }, () => {
    const fault = random.nextInt(12) > 0 ? null : pick(random, faults)
    return new FakeGuide({ seed: random.nextUint32(), vocabSize: VOCAB_SIZE, eosTokenId: EOS_TOKEN_ID, fault })
  })
}

function drawSampling(random: Random): SeededSampling {
  const numBiases = random.nextInt(4) > 0 ? 0 : 1 + random.nextInt(5)
  return {
    temperature: random.nextInt(2),
    topK: random.nextInt(3),
    topP: 1,
    minP: 0,
    repetitionPenalty: random.nextInt(3) > 0 ? 1 : 1.2,
    presencePenalty: random.nextInt(3) > 0 ? 0 : 0.5,
    frequencyPenalty: 0,
    logitBias: drawTokens(random, numBiases).map((tokenId) => ({ tokenId, bias: random.nextInt(2) === 0 ? -Infinity : 1 })),
    seed: random.nextUint32(),
  }
}

/** Never the poison token: only what is sampled may fail. */
function drawTokens(random: Random, count: number): number[] {
  return Array.from({ length: count }, () => 2 + random.nextInt(VOCAB_SIZE - 2))
}

export function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[random.nextInt(choices.length)]!
}
