/**
 * Watches one choice's text as it comes and says when it has gone wrong. Everything is counted on the way: a character costs a fixed
 * number of steps, and what is remembered is a ring of the last characters and a few counters.
 */
import type { QualityFault } from '#contract/call'

export interface MonitorLimits {
  /** A text whose end repeats itself is a loop from so many characters of repetition on, */
  readonly loopCharacters: number
  /** and so many repetitions of the period. */
  readonly loopRepeats: number
  /** White space at one stretch. */
  readonly whitespaceRun: number
  /** U+FFFD, or characters of wrongly decoded UTF-8, at one stretch. */
  readonly brokenRun: number
  /** Bits for each character in the window, below which the text says nothing. */
  readonly minEntropyBits: number
  /** Mean log probability of the window's tokens above which sampling has collapsed; where log probabilities are there. */
  readonly maxMeanLogprob: number
}

export const DEFAULT_LIMITS: MonitorLimits = {
  loopCharacters: 160,
  loopRepeats: 4,
  whitespaceRun: 200,
  brokenRun: 4,
  minEntropyBits: 1.5,
  maxMeanLogprob: -1e-5,
}

/** Longest period of a loop, characters; the ring holds two of them. */
export const MAX_PERIOD = 512
/** Powers of two: a place is found with a mask. */
const RING = 1024
const RING_MASK = RING - 1
const WINDOW = 256
/** Tokens; loops of text are certain long before, so a sure model is not yet a broken one. */
const LOGPROB_WINDOW = 256
/** Twice the places of which the last occurrence may still matter. */
const HASHES = 1024
/** Characters are counted by their low bits. */
const CODES = 256
/** Where the parts of a monitor's memory begin: the ring, the last places by hash, the counts. */
const LAST_SEEN_AT = RING
const COUNTS_AT = LAST_SEEN_AT + HASHES
const MEMORY_LENGTH = COUNTS_AT + CODES
const HASH_FACTOR = 0x01000193
/** What a character weighs when it leaves the four that are hashed. */
const HASH_FACTOR_4 = Math.imul(Math.imul(HASH_FACTOR, HASH_FACTOR), Math.imul(HASH_FACTOR, HASH_FACTOR))
/** c log2 c for each count that a window can have. */
const WEIGHTS = Float64Array.from({ length: WINDOW + 2 }, (_, count) => (count <= 1 ? 0 : count * Math.log2(count)))

/** Two characters that UTF-8 gives when it is read as Windows-1252: lead byte, then continuation. */
const MOJIBAKE_LEAD = /[ÂÃâðÐÑ]/
const MOJIBAKE_TAIL = /[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]/

export interface Fault {
  readonly fault: QualityFault
  /** Characters of the text before the fault was certain. */
  readonly atCharacter: number
}

export class StreamMonitor {
  private readonly limits: MonitorLimits
  /** In one piece, since there is one for each open stream. First the last characters. */
  private readonly memory = new Uint16Array(MEMORY_LENGTH)
  private numCharacters = 0
  /** For each period that is possible now, since where the text repeats itself by it: a few candidates, no table of all. */
  private candidates: { readonly period: number; readonly since: number }[] = []
  /** Of the last four characters. Where each four stood last, modulo 2^16, is in the memory; what it says is checked against the ring. */
  private hash = 0
  private whitespaceRun = 0
  private brokenRun = 0
  /** Code of the character before. */
  private previous = 0
  /** Sum of c log2 c over the counts of the window. */
  private weighted = 0
  /** Above it the window's entropy is below its least: that is log2(WINDOW) - weighted / WINDOW. */
  private readonly maxWeighted: number
  /** null = the model has told none. */
  private logprobs: Float64Array | null = null
  private numLogprobs = 0
  private logprobSum = 0

  constructor(limits: MonitorLimits) {
    this.limits = limits
    this.maxWeighted = (Math.log2(WINDOW) - limits.minEntropyBits) * WINDOW
  }

  /** The first fault of this piece, or null. */
  push(piece: string): Fault | null {
    for (let i = 0; i < piece.length; i++) {
      const fault = this.step(piece.charCodeAt(i))
      if (fault !== null) return { fault, atCharacter: this.numCharacters }
    }
    return null
  }

  pushLogprob(logprob: number): Fault | null {
    const logprobs = (this.logprobs ??= new Float64Array(LOGPROB_WINDOW))
    const at = this.numLogprobs++ % LOGPROB_WINDOW
    this.logprobSum += logprob - logprobs[at]!
    logprobs[at] = logprob
    const hasCollapsed = this.numLogprobs >= LOGPROB_WINDOW && this.logprobSum / LOGPROB_WINDOW > this.limits.maxMeanLogprob
    return hasCollapsed ? { fault: 'low-entropy', atCharacter: this.numCharacters } : null
  }

  /** Hot: per character. */
  private step(code: number): QualityFault | null {
    const { memory } = this
    const left = memory[(this.numCharacters - 4) & RING_MASK]!
    this.hash = (Math.imul(this.hash, HASH_FACTOR) + code - Math.imul(left, HASH_FACTOR_4)) | 0
    memory[this.numCharacters & RING_MASK] = code
    this.numCharacters++
    this.count(code)
    const isSpace = code === 32 || (code >= 9 && code <= 13) || code === 0xa0 || code === 0x3000
    this.whitespaceRun = isSpace ? this.whitespaceRun + 1 : 0
    if (this.whitespaceRun >= this.limits.whitespaceRun) return 'whitespace'
    if (this.isBroken(code)) return 'broken-encoding'
    if (this.isLoop(isSpace)) return 'repetition'
    return this.numCharacters >= WINDOW && this.weighted > this.maxWeighted && this.whitespaceRun === 0 ? 'low-entropy' : null
  }

  private isBroken(code: number): boolean {
    const { previous } = this
    this.previous = code
    if (code < 0x80) {
      this.brokenRun = 0
      return false
    }
    const isPair = MOJIBAKE_TAIL.test(String.fromCharCode(code)) && MOJIBAKE_LEAD.test(String.fromCharCode(previous))
    if (code === 0xfffd || isPair) this.brokenRun++
    return this.brokenRun >= this.limits.brokenRun
  }

  /** A candidate lives as long as each new character is the one a period before it. */
  private isLoop(isSpace: boolean): boolean {
    const at = this.numCharacters - 1
    if (this.candidates.length > 0 && this.hasLoop(at, isSpace)) return true
    if (at >= 3) this.propose(at)
    return false
  }

  /** Drops the candidates that the last character contradicts. */
  private hasLoop(at: number, isSpace: boolean): boolean {
    const { memory, candidates } = this
    const { loopCharacters, loopRepeats } = this.limits
    const code = memory[at & RING_MASK]!
    let kept = 0
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (memory[(at - candidate.period) & RING_MASK] !== code) continue
      candidates[kept++] = candidate
      if (!isSpace && at + 1 - candidate.since >= Math.max(loopCharacters, loopRepeats * candidate.period)) return true
    }
    if (kept < candidates.length) candidates.length = kept
    return false
  }

  private propose(at: number): void {
    const { memory, candidates } = this
    const slot = LAST_SEEN_AT + ((this.hash ^ (this.hash >>> 15)) & (HASHES - 1))
    const period = (at - memory[slot]!) & 0xffff
    memory[slot] = at
    const before = at - period
    // Four characters end at the fourth place or later, so the 0 of a slot that was never used names none.
    if (period === 0 || period > MAX_PERIOD || before < 3 || candidates.length >= MAX_CANDIDATES) return
    for (let i = 0; i < candidates.length; i++) if (candidates[i]!.period === period) return
    for (let i = 0; i < 4; i++) if (memory[(at - i) & RING_MASK] !== memory[(before - i) & RING_MASK]) return
    candidates.push({ period, since: before - 3 })
  }

  private count(code: number): void {
    const { memory } = this
    const slot = COUNTS_AT + (code & (CODES - 1))
    const count = memory[slot]!
    memory[slot] = count + 1
    this.weighted += WEIGHTS[count + 1]! - WEIGHTS[count]!
    if (this.numCharacters <= WINDOW) return
    const leaving = COUNTS_AT + (memory[(this.numCharacters - 1 - WINDOW) & RING_MASK]! & (CODES - 1))
    const before = memory[leaving]!
    memory[leaving] = before - 1
    this.weighted += WEIGHTS[before - 1]! - WEIGHTS[before]!
  }
}

const MAX_CANDIDATES = 8
