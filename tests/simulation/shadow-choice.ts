/** One choice as it must go, step by step: what the next token is, whether it ends the choice, and what a guide demands. */
import { assert } from '#base/assert'
import { expectedToken, isStopToken, leavesNothing, MAX_FORCED_TOKENS } from './oracle.ts'
import { FakeGuide } from './fake-guide.ts'
import type { GenerateTokensRequest } from '#engine/scheduler/token-request'
import type { OracleModel } from './oracle.ts'

export interface ExpectedToken {
  readonly tokenId: number
  readonly isForced: boolean
  readonly isStop: boolean
}

export class ShadowChoice {
  readonly tokenIds: number[] = []
  private readonly request: GenerateTokensRequest
  private readonly choice: number
  private readonly model: OracleModel
  private readonly maxOutputTokens: number
  private readonly guide: FakeGuide | null
  private forced: number[] = []

  constructor(parts: {
    readonly request: GenerateTokensRequest
    readonly choice: number
    readonly model: OracleModel
    readonly maxOutputTokens: number
  }) {
    this.request = parts.request
    this.choice = parts.choice
    this.model = parts.model
    this.maxOutputTokens = parts.maxOutputTokens
    const guide = parts.request.guides?.[parts.choice] ?? null
    assert(guide === null || guide instanceof FakeGuide, 'the oracle knows fake guides only')
    this.guide = guide === null ? null : guide.fresh(true)
  }

  /** The guide's text is whole: the choice must have ended. */
  get isComplete(): boolean {
    return this.guide !== null && this.tokenIds.length > 0 && this.forced.length === 0 && this.guide.isComplete
  }

  /** Nothing can be sampled: neither grammar nor bias leaves a token. */
  get isStuck(): boolean {
    const mask = this.mask()
    return this.forced.length === 0 && mask !== null && leavesNothing(this.request, mask)
  }

  next(): ExpectedToken {
    const { request, model } = this
    assert(!this.isComplete, 'a token came behind a complete text')
    const forced = this.forced[0]
    if (forced !== undefined) return { tokenId: forced, isForced: true, isStop: isStopToken(request, forced, model, true) }
    const mask = this.mask()
    assert(mask === null || !leavesNothing(request, mask), 'a token came where none may')
    const tokenId = expectedToken(request, this.choice, this.tokenIds, model, mask)
    return { tokenId, isForced: false, isStop: isStopToken(request, tokenId, model, mask !== null) }
  }

  /** Takes the token that next() gave, which does not end the choice. */
  take({ tokenId, isForced }: ExpectedToken): void {
    this.tokenIds.push(tokenId)
    if (this.guide === null) return
    this.guide.accept(tokenId)
    const numLeft = this.maxOutputTokens - this.tokenIds.length
    if (isForced) this.forced.shift()
    else if (this.request.numTopLogprobs === null && numLeft > 0) this.forced = [...this.guide.forcedTokens(Math.min(numLeft, MAX_FORCED_TOKENS))]
  }

  private mask(): ReadonlySet<number> | null {
    return this.guide !== null && this.guide.isConstrained ? this.guide.allowedTokens() : null
  }
}
