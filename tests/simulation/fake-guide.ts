/**
 * A random automaton in place of a grammar, drawn from a seed: some states leave the model free, some allow few or many tokens,
 * some force a stretch, some may end. It insists on how the core must call it.
 */
import { assert } from '#base/assert'
import { InferdError } from '#contract/errors'
import { hash32 } from '#engine/sampling/draw'
import type { TokenGuide } from '#engine/scheduler/token-guide'
import type { TokenRequest } from '#engine/scheduler/token-request'

export interface FakeRules {
  readonly seed: number
  readonly vocabSize: number
  readonly eosTokenId: number
  /** What throws in a state that fails; null = nothing ever does. */
  readonly fault: GuideFault | null
}

export type GuideFault = 'isConstrained' | 'fillMask' | 'accept' | 'forcedTokens' | 'isComplete' | 'known'

const NUM_STATES = 24
/** Longer than what one step may append. */
const LONGEST_STRETCH = 100

export class FakeGuide implements TokenGuide {
  private readonly rules: FakeRules
  private state = 0
  /** Tokens that must come next, in order. */
  private forced: readonly number[] = []
  private numAccepted = 0
  /** accept() came, so forcedTokens() may. */
  private mayForce = false

  constructor(rules: FakeRules) {
    this.rules = rules
  }

  /** A guide of the same rules at the start of its text; `sound`: one that never fails. */
  fresh(sound = false): FakeGuide {
    return new FakeGuide(sound ? { ...this.rules, fault: null } : this.rules)
  }

  get hasFault(): boolean {
    return this.rules.fault !== null
  }

  get isConstrained(): boolean {
    this.failIn('isConstrained')
    return this.forced.length > 0 || this.draw(1) % 4 > 0
  }

  fillMask(words: Uint32Array): void {
    assert(words.length === Math.ceil(this.rules.vocabSize / 32) && words.every((word) => word === 0), 'a mask has one empty row')
    this.failIn('fillMask')
    for (const tokenId of this.allowedTokens()) words[tokenId >> 5]! |= 1 << (tokenId & 31)
  }

  accept(tokenId: number): void {
    this.failIn('accept')
    assert(!this.isFinal, 'nothing follows a complete text')
    if (this.forced.length > 0) {
      assert(tokenId === this.forced[0], `token ${tokenId} was accepted where ${this.forced[0]} had to come`)
    } else if (this.draw(1) % 4 > 0) {
      assert(this.allowedTokens().has(tokenId), `token ${tokenId} was accepted, which is not allowed`)
    }
    this.forced = this.forced.slice(1)
    this.numAccepted++
    this.mayForce = true
    if (this.forced.length > 0) return
    this.state = hash32(this.rules.seed + this.state * 31, tokenId) % NUM_STATES
    if (this.draw(2) % 3 === 0) this.forced = this.stretch()
  }

  forcedTokens(maxTokens: number): readonly number[] {
    this.failIn('forcedTokens')
    assert(this.mayForce && maxTokens >= 1, 'forced tokens are asked for behind an accepted one')
    this.mayForce = false
    return this.forced.slice(0, maxTokens)
  }

  get isComplete(): boolean {
    this.failIn('isComplete')
    return this.isFinal
  }

  /** What fillMask allows. The end-of-sequence token is among them where the text may end, and sometimes alone. */
  allowedTokens(): ReadonlySet<number> {
    const { vocabSize, eosTokenId } = this.rules
    if (this.forced.length > 0) return new Set([this.forced[0]!])
    const kind = this.draw(4) % 8
    const allowed = new Set<number>()
    const oneIn = kind < 3 ? 2 : kind < 7 ? 60 : vocabSize
    for (let tokenId = 2; tokenId < vocabSize; tokenId++) {
      if (hash32(this.rules.seed + this.state, 1000 + tokenId) % oneIn === 0) allowed.add(tokenId)
    }
    if (kind === 7 || this.draw(5) % 6 === 0 || allowed.size === 0) allowed.add(eosTokenId)
    if (kind === 7) return new Set([eosTokenId])
    return allowed
  }

  private get isFinal(): boolean {
    return this.forced.length === 0 && this.numAccepted > 2 && this.draw(3) % 12 === 0
  }

  private stretch(): readonly number[] {
    const length = this.draw(6) % 5 === 0 ? 1 + (this.draw(7) % LONGEST_STRETCH) : 1 + (this.draw(7) % 8)
    return Array.from({ length }, (_, index) => 2 + (this.draw(8 + index) % (this.rules.vocabSize - 2)))
  }

  private failIn(fault: GuideFault): void {
    if (this.rules.fault === null || this.numAccepted < 2 || this.draw(200) % 3 > 0) return
    if (this.rules.fault === fault) throw new Error(`the guide failed in ${fault}`)
    if (this.rules.fault === 'known' && fault === 'accept')
      throw new InferdError('invalid_parameter', 'the guide refuses', { param: 'output.format' })
  }

  private draw(purpose: number): number {
    return hash32(this.rules.seed + this.state * 7919, purpose)
  }
}

/** The request with its guides at the start of their texts: a guide serves one run. */
export function withFreshGuides<T extends TokenRequest>(request: T): T {
  if (request.kind === 'embed' || request.guides === null) return request
  const guides = request.guides.map((guide) => {
    assert(guide instanceof FakeGuide, 'only fake guides start again')
    return guide.fresh()
  })
  return { ...request, guides }
}
