/**
 * One choice of one request: the tokens it knows and how many of them are computed.
 *
 *   | prompt                      | output             |
 *   | computed ........................ | pending ...... |
 *   0                     numComputedTokens      numKnownTokens
 *
 * A step computes some pending tokens; when none is left, it samples one more known token, and its guide may append others that
 * must follow. That is all the scheduler has to know of prompts and decoding. Preemption sets numComputedTokens to 0 and keeps
 * the tokens.
 */
import { assert } from '#base/assert'
import { LANE_RANK, type Lane } from '#contract/lane'
import { TokenCounts } from '#engine/sampling/token-counts'
import type { BlockHash } from '#engine/kv-cache/block'
import type { BlockTable } from '#engine/kv-cache/block-table'
import type { SamplingParameters } from '#engine/sampling/sampling-parameters'
import type { SamplingRow } from '#engine/sampling/sampling-batch'
import type { ActiveRequest } from './active-request.ts'
import type { ChoiceGuide } from './choice-guide.ts'

/** dormant: a choice that waits for its request's prompt. */
type SequenceState = 'dormant' | 'waiting' | 'running' | 'ended'

export class Sequence implements SamplingRow {
  readonly request: ActiveRequest
  readonly choice: number
  readonly seed: number
  /** null = the model decides alone. Like the tokens it outlives preemption. */
  readonly guide: ChoiceGuide | null
  /** Written by Scheduler, as everything below. */
  state: SequenceState = 'dormant'
  numComputedTokens = 0
  numOutputTokens = 0
  /** Borrowed while running, null otherwise. */
  table: BlockTable | null = null
  /** Full blocks that were offered to the prefix cache since admission. */
  numRegisteredBlocks = 0
  /** Blocks to take before its pending tokens can be computed. Fresh when decideStep looks. */
  numMissingBlocks = 0
  /** Tokens of its last commit, the sampled one and those that had to follow; 1 before the first. */
  numNewestTokens = 1
  /** The row that is sampled in this step has a mask. Fresh from prepareSampling(). */
  isMasked = false
  /** The caller asked to end the choice before it had a token. */
  isFinishRequested = false
  /** Null until the choice first samples with a penalty. */
  tokenCounts: TokenCounts | null = null
  /** Hashes of the leading full blocks of its known tokens, as far as anybody asked. Tokens never change, so neither do they. */
  blockHashes: BlockHash[] = []
  private hasCountedPrompt = false
  private outputTokenIds = new Int32Array(16)
  private readonly alone: readonly Sequence[] = [this]

  constructor(request: ActiveRequest, choice: { readonly choice: number; readonly seed: number; readonly guide: ChoiceGuide | null }) {
    this.request = request
    this.choice = choice.choice
    this.seed = choice.seed
    this.guide = choice.guide
  }

  get parameters(): SamplingParameters {
    return this.request.parameters
  }

  get numKnownTokens(): number {
    return this.request.promptTokenIds.length + this.numOutputTokens
  }

  get numPendingTokens(): number {
    return this.numKnownTokens - this.numComputedTokens
  }

  get lane(): Lane {
    return this.request.lane
  }

  get isEmbed(): boolean {
    return this.request.kind === 'embed'
  }

  /** Running places that it occupies: an unforked request keeps one for each choice. */
  get numSlots(): number {
    return this.request.hasForked ? 1 : this.request.numOpenChoices
  }

  /** The choices that are sampled from its last known token: all of them while they share the prompt, then itself. */
  get sampledChoices(): readonly Sequence[] {
    return this.request.hasForked ? this.alone : this.request.sequences
  }

  /** Logit rows of the step that computes its last pending token: one for each sampled choice. */
  get numLogitRows(): number {
    if (this.isEmbed) return 0
    return this.request.hasForked ? 1 : this.request.sequences.length
  }

  /** Hot: per token. Known token at a position. */
  tokenAt(position: number): number {
    const { promptTokenIds } = this.request
    return position < promptTokenIds.length ? promptTokenIds[position]! : this.outputTokenIds[position - promptTokenIds.length]!
  }

  /** Hot: per token. Copies known tokens [start, start + numTokens) to out[outOffset...]. */
  copyTokens(range: { readonly start: number; readonly numTokens: number }, out: Int32Array, outOffset: number): void {
    for (let index = 0; index < range.numTokens; index++) out[outOffset + index] = this.tokenAt(range.start + index)
  }

  /** Hot: per token. */
  appendToken(tokenId: number): void {
    if (this.numOutputTokens === this.outputTokenIds.length) {
      const grown = new Int32Array(this.outputTokenIds.length * 2)
      grown.set(this.outputTokenIds)
      this.outputTokenIds = grown
    }
    this.outputTokenIds[this.numOutputTokens++] = tokenId
    this.tokenCounts?.addOutputToken(tokenId)
  }

  /** Called once before each draw. */
  prepareSampling(): void {
    this.prepareTokenCounts()
    if (this.guide !== null) this.isMasked = this.guide.isConstrained()
  }

  /** Makes the token counts before the first draw with a penalty, and adds the prompt's tokens when a penalty first looks at them. */
  private prepareTokenCounts(): void {
    const { request } = this
    if (!request.hasPenalties) return
    if (this.tokenCounts === null) {
      this.tokenCounts = new TokenCounts()
      for (let index = 0; index < this.numOutputTokens; index++) this.tokenCounts.addOutputToken(this.outputTokenIds[index]!)
    }
    if (!request.countsPromptTokens || this.hasCountedPrompt) return
    for (const tokenId of request.promptTokenIds) this.tokenCounts.addPromptToken(tokenId)
    this.hasCountedPrompt = true
  }

  /** Extends blockHashes to the first numBlocks blocks; their tokens must be known. */
  hashBlocks(numBlocks: number, blockSize: number): readonly BlockHash[] {
    const { hasher } = this.request
    while (this.blockHashes.length < numBlocks) {
      const blockIndex = this.blockHashes.length
      const parent = blockIndex === 0 ? this.request.rootHash : this.blockHashes[blockIndex - 1]!
      for (let offset = 0; offset < blockSize; offset++) hasher.setToken(offset, this.tokenAt(blockIndex * blockSize + offset))
      this.blockHashes.push(hasher.finish(parent))
    }
    return this.blockHashes
  }
}

/** Order of all sequences, running and waiting; negative = a goes first. A total order: the result is never 0 for two sequences. */
export function compareSequences(a: Sequence, b: Sequence): number {
  if (a.lane !== b.lane) return LANE_RANK[a.lane] - LANE_RANK[b.lane]
  if (a.request.orderKey !== b.request.orderKey) return a.request.orderKey - b.request.orderKey
  if (a.request.arrivalIndex !== b.request.arrivalIndex) return a.request.arrivalIndex - b.request.arrivalIndex
  return a.choice - b.choice
}

/** Inserts into a list that is sorted by compareSequences. */
export function insertSequence(list: Sequence[], sequence: Sequence): void {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareSequences(list[middle]!, sequence) < 0) low = middle + 1
    else high = middle
  }
  list.splice(low, 0, sequence)
}

export function removeSequence(list: Sequence[], sequence: Sequence): void {
  const index = list.indexOf(sequence)
  assert(index >= 0, 'the sequence is not in the list')
  list.splice(index, 1)
}
