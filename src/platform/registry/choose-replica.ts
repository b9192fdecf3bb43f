/**
 * Which replica of a model takes a prompt: the one that has its beginning in its prefix cache, unless it is too busy; else the least
 * busy. A prompt is known by a chain of hashes, one for each longer beginning of it.
 */
import { createHash } from 'node:crypto'
import type { PromptInput } from '#contract/generate'

export interface ReplicaLoad {
  /** Lasts as long as the replica, whoever else comes or goes. */
  readonly id: number
  readonly isReady: boolean
  /** Prompt tokens (estimated) of the calls that it has. */
  readonly outstandingTokens: number
}

export interface AffinityPolicy {
  /** A replica is too busy when it has so many tokens more than the least busy one. */
  readonly spillTokens: number
}

export const DEFAULT_AFFINITY: AffinityPolicy = { spillTokens: 8192 }

export interface ReplicaChoice {
  readonly index: number
  /** sticky: it had this beginning; rendezvous: a new beginning went to its own place; spill: that one was too busy. */
  readonly reason: 'sticky' | 'rendezvous' | 'spill'
}

/** Beginnings of a prompt that are hashed, shortest first. */
const MAX_BEGINNINGS = 16
/** Of text without messages: a beginning is a multiple of this. */
const PIECE_CHARACTERS = 2048
const PIECE_TOKENS = 512

/** Equal chains up to `i` mean equal beginnings up to `i`. Salts keep namespaces apart, as the prefix cache does. */
export function prefixChain(input: PromptInput, cacheSalt: string): readonly string[] {
  const chain: string[] = []
  let before = cacheSalt
  for (const piece of piecesOf(input)) {
    before = createHash('sha256').update(before).update('\0').update(piece).digest('base64')
    chain.push(before)
  }
  return chain
}

/** null = no replica is ready. `owners[i]`: who was last given the beginning `chain[i]`. Pure. */
export function chooseReplica(
  loads: readonly ReplicaLoad[],
  { chain, owners, policy }: { readonly chain: readonly string[]; readonly owners: readonly (number | null)[]; readonly policy: AffinityPolicy },
): ReplicaChoice | null {
  const least = leastBusy(loads)
  if (least === null) return null
  const owner = owners.findLast((index) => index !== null && loads[index]?.isReady === true) ?? null
  const preferred = owner ?? rendezvous(loads, chain[0] ?? '')
  const isTooBusy = loads[preferred]!.outstandingTokens > loads[least]!.outstandingTokens + policy.spillTokens
  if (isTooBusy) return { index: least, reason: 'spill' }
  return { index: preferred, reason: owner === null ? 'rendezvous' : 'sticky' }
}

function leastBusy(loads: readonly ReplicaLoad[]): number | null {
  let least: number | null = null
  for (const [index, load] of loads.entries()) {
    if (load.isReady && (least === null || load.outstandingTokens < loads[least]!.outstandingTokens)) least = index
  }
  return least
}

/** Highest random weight: one more replica takes its own share of the keys and moves no other. At least one is ready. */
function rendezvous(loads: readonly ReplicaLoad[], key: string): number {
  let best = -1
  let highest = ''
  for (const [index, load] of loads.entries()) {
    if (!load.isReady) continue
    const weight = createHash('sha256').update(`${load.id}\0${key}`).digest('hex')
    if (best < 0 || weight > highest) [best, highest] = [index, weight]
  }
  return best
}

function* piecesOf(input: PromptInput): Generator<string> {
  switch (input.kind) {
    case 'messages':
      for (const message of input.messages.slice(0, MAX_BEGINNINGS)) yield JSON.stringify(message)
      return
    case 'text':
      for (let piece = 0; piece < MAX_BEGINNINGS && piece * PIECE_CHARACTERS < Math.max(1, input.text.length); piece++) {
        yield input.text.slice(piece * PIECE_CHARACTERS, (piece + 1) * PIECE_CHARACTERS)
      }
      return
    case 'tokens':
      for (let piece = 0; piece < MAX_BEGINNINGS && piece * PIECE_TOKENS < Math.max(1, input.tokenIds.length); piece++) {
        yield input.tokenIds.slice(piece * PIECE_TOKENS, (piece + 1) * PIECE_TOKENS).join()
      }
  }
}
