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
const RING = 2048
const WINDOW = 256
/** Tokens; loops of text are certain long before, so a sure model is not yet a broken one. */
const LOGPROB_WINDOW = 256
const CODES = 4096

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
  private readonly ring = new Uint16Array(RING)
  private numCharacters = 0
  /** For each period that is possible now, since where the text repeats itself by it: a few candidates, no table of all. */
  private candidates: { readonly period: number; readonly since: number }[] = []
  /** Where each four characters stood last, by hash; how a period is noticed. */
  private readonly lastSeen = new Int32Array(CODES).fill(-1)
  private whitespaceRun = 0
  private brokenRun = 0
  private previous = ''
  private readonly counts = new Uint16Array(CODES)
  /** Sum of c log2 c over the counts of the window. */
  private weighted = 0
  private readonly logprobs = new Float64Array(LOGPROB_WINDOW)
  private numLogprobs = 0
  private logprobSum = 0

  constructor(limits: MonitorLimits) {
    this.limits = limits
  }

  /** The first fault of this piece, or null. */
  push(piece: string): Fault | null {
    for (let i = 0; i < piece.length; i++) {
      const fault = this.step(piece.charCodeAt(i), piece[i]!)
      if (fault !== null) return { fault, atCharacter: this.numCharacters }
    }
    return null
  }

  pushLogprob(logprob: number): Fault | null {
    const at = this.numLogprobs++ % LOGPROB_WINDOW
    this.logprobSum += logprob - this.logprobs[at]!
    this.logprobs[at] = logprob
    const hasCollapsed = this.numLogprobs >= LOGPROB_WINDOW && this.logprobSum / LOGPROB_WINDOW > this.limits.maxMeanLogprob
    return hasCollapsed ? { fault: 'low-entropy', atCharacter: this.numCharacters } : null
  }

  /** Hot: per character. */
  private step(code: number, character: string): QualityFault | null {
    this.ring[this.numCharacters % RING] = code
    this.numCharacters++
    this.count(code)
    const isSpace = code === 32 || (code >= 9 && code <= 13) || code === 0xa0 || code === 0x3000
    this.whitespaceRun = isSpace ? this.whitespaceRun + 1 : 0
    if (this.whitespaceRun >= this.limits.whitespaceRun) return 'whitespace'
    if (this.isBroken(code, character)) return 'broken-encoding'
    if (this.isLoop(isSpace)) return 'repetition'
    return this.numCharacters >= WINDOW && this.entropyBits() < this.limits.minEntropyBits && this.whitespaceRun === 0 ? 'low-entropy' : null
  }

  private isBroken(code: number, character: string): boolean {
    const isPair = code > 127 && MOJIBAKE_TAIL.test(character) && MOJIBAKE_LEAD.test(this.previous)
    if (code === 0xfffd) this.brokenRun++
    else if (isPair) this.brokenRun++
    else if (!MOJIBAKE_LEAD.test(character) && code < 0x80) this.brokenRun = 0
    this.previous = character
    return this.brokenRun >= this.limits.brokenRun
  }

  /** A candidate lives as long as each new character is the one a period before it. */
  private isLoop(isSpace: boolean): boolean {
    const at = this.numCharacters - 1
    const code = this.ring[at % RING]!
    let kept = 0
    for (const candidate of this.candidates) {
      if (this.ring[(at - candidate.period) % RING] !== code) continue
      this.candidates[kept++] = candidate
      const length = at + 1 - candidate.since
      const { loopCharacters, loopRepeats } = this.limits
      if (!isSpace && length >= Math.max(loopCharacters, loopRepeats * candidate.period)) return true
    }
    this.candidates.length = kept
    if (at >= 3) this.propose(at)
    return false
  }

  private propose(at: number): void {
    let hash = 0
    for (let i = at - 3; i <= at; i++) hash = Math.imul(hash ^ this.ring[i % RING]!, 0x01000193)
    const slot = (hash ^ (hash >>> 15)) & (CODES - 1)
    const before = this.lastSeen[slot]!
    this.lastSeen[slot] = at
    const period = at - before
    if (before < 0 || period > MAX_PERIOD || this.candidates.length >= MAX_CANDIDATES) return
    if (this.candidates.some((candidate) => candidate.period === period)) return
    for (let i = 0; i < 4; i++) if (this.ring[(at - i) % RING] !== this.ring[(before - i + RING) % RING]) return
    this.candidates.push({ period, since: before - 3 })
  }

  private count(code: number): void {
    this.add(code & (CODES - 1), 1)
    if (this.numCharacters > WINDOW) this.add(this.ring[(this.numCharacters - 1 - WINDOW) % RING]! & (CODES - 1), -1)
  }

  private add(slot: number, by: number): void {
    const before = this.counts[slot]!
    this.counts[slot] = before + by
    this.weighted += xlog2x(before + by) - xlog2x(before)
  }

  private entropyBits(): number {
    return Math.log2(WINDOW) - this.weighted / WINDOW
  }
}

const MAX_CANDIDATES = 8

function xlog2x(count: number): number {
  return count <= 1 ? 0 : count * Math.log2(count)
}
