/** The figures of one level of load, from the outcomes of its requests. Formulas: formulas.ts. */
import type { Random } from '#base/random'
import { BoundedSample, type Distribution, distributionOf } from './distribution.ts'
import { e2eMs, isGood, type Objective, tpotMs, ttftMs } from './objective.ts'
import type { Answered, RequestOutcome } from './request-outcome.ts'

export interface LevelFigures {
  readonly numAnswered: number
  readonly numFailed: number
  readonly numCancelled: number
  /** By kind, most first. */
  readonly errors: readonly ErrorCount[]
  /** From the first request sent to the end of the last that was answered or failed. */
  readonly elapsedMs: number
  readonly numPromptTokens: number
  readonly numOutputTokens: number
  /** False where the server told no usage of an answer: its pieces were counted as tokens. */
  readonly isUsageTold: boolean
  readonly requestsPerS: number
  readonly outputTokensPerS: number
  readonly totalTokensPerS: number
  /** Answers a second that keep the objective; null = none was given. */
  readonly goodputPerS: number | null
  /** Of all that were answered or failed; null = no objective, or none ended. */
  readonly goodShare: number | null
  readonly ttftMs: Distribution | null
  readonly tpotMs: Distribution | null
  readonly itlMs: Distribution | null
  readonly e2eMs: Distribution | null
  /** How much later than due requests were sent, by the client's own bound or slowness. */
  readonly clientQueueMs: Distribution | null
}

export interface ErrorCount {
  readonly kind: string
  readonly count: number
  /** Of the first. */
  readonly words: string
}

/** Gaps between pieces that are kept for percentiles; a level of more is sampled. */
const MAX_KEPT_GAPS = 1 << 20
/** Further kinds are counted together. */
const MAX_ERROR_KINDS = 20
const OTHER_ERRORS = 'other'

/** Memory grows with the number of requests, not with that of tokens. */
export class LevelTally {
  private readonly objective: Objective | null
  private readonly gaps: BoundedSample
  private readonly errors = new Map<string, { count: number; readonly words: string }>()
  private readonly ttft: number[] = []
  private readonly tpot: number[] = []
  private readonly e2e: number[] = []
  private readonly clientQueue: number[] = []
  private numFailed = 0
  private numCancelled = 0
  private numGood = 0
  private numPromptTokens = 0
  private numOutputTokens = 0
  private isUsageTold = true
  private firstSentMs = Infinity
  private lastEndMs = -Infinity

  constructor(objective: Objective | null, random: Random) {
    this.objective = objective
    this.gaps = new BoundedSample(MAX_KEPT_GAPS, random)
  }

  get numEnded(): number {
    return this.e2e.length + this.numFailed
  }

  add(outcome: RequestOutcome): void {
    if (outcome.kind === 'cancelled') {
      this.numCancelled++
      return
    }
    this.firstSentMs = Math.min(this.firstSentMs, outcome.sentMs)
    this.lastEndMs = Math.max(this.lastEndMs, outcome.endMs)
    if (outcome.kind === 'answered') return this.addAnswered(outcome)
    this.numFailed++
    const { kind, words } = outcome.error
    const key = this.errors.has(kind) || this.errors.size < MAX_ERROR_KINDS ? kind : OTHER_ERRORS
    const entry = this.errors.get(key) ?? { count: 0, words }
    entry.count++
    this.errors.set(key, entry)
  }

  figures(): LevelFigures {
    const numAnswered = this.e2e.length
    const elapsedMs = this.numEnded === 0 ? 0 : this.lastEndMs - this.firstSentMs
    const perSecond = (amount: number): number => (elapsedMs === 0 ? 0 : (amount * 1000) / elapsedMs)
    return {
      numAnswered,
      numFailed: this.numFailed,
      numCancelled: this.numCancelled,
      errors: [...this.errors].map(([kind, { count, words }]) => ({ kind, count, words })).toSorted((left, right) => right.count - left.count),
      elapsedMs,
      numPromptTokens: this.numPromptTokens,
      numOutputTokens: this.numOutputTokens,
      isUsageTold: this.isUsageTold,
      requestsPerS: perSecond(numAnswered),
      outputTokensPerS: perSecond(this.numOutputTokens),
      totalTokensPerS: perSecond(this.numPromptTokens + this.numOutputTokens),
      goodputPerS: this.objective === null ? null : perSecond(this.numGood),
      goodShare: this.objective === null || this.numEnded === 0 ? null : this.numGood / this.numEnded,
      ttftMs: distributionOf(this.ttft),
      tpotMs: distributionOf(this.tpot),
      itlMs: this.gaps.distribution(),
      e2eMs: distributionOf(this.e2e),
      clientQueueMs: distributionOf(this.clientQueue),
    }
  }

  private addAnswered(answered: Answered): void {
    const [ttft, tpot] = [ttftMs(answered), tpotMs(answered)]
    if (ttft !== null) this.ttft.push(ttft)
    if (tpot !== null) this.tpot.push(tpot)
    this.e2e.push(e2eMs(answered))
    this.clientQueue.push(answered.sentMs - answered.dueMs)
    for (const gap of answered.gapsMs) this.gaps.add(gap)
    this.numPromptTokens += answered.numPromptTokens
    this.numOutputTokens += answered.numOutputTokens
    this.isUsageTold &&= answered.isUsageTold
    if (this.objective !== null && isGood(answered, this.objective)) this.numGood++
  }
}
