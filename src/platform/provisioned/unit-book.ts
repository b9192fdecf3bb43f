/**
 * What teams have bought of models, as the door asks for it: so many prompt and output tokens a minute. Taken by a guess when a call begins,
 * corrected by what it was when it ends. Data and decisions; who may buy is decided elsewhere (throughput-desk.ts).
 */
import type { ProvisionedThroughput } from '#contract/provisioned'
import { RateLimit } from '#platform/admission/rate-limit'
import type { UnitFigures } from '#telemetry/unit-metrics'

export interface UnitTokens {
  /** Not those of the prefix cache, as far as that is known. */
  readonly promptTokens: number
  readonly outputTokens: number
}

/** Of one unit, a minute. */
export interface UnitRate {
  readonly inputTokensPerMinute: number
  /** null = no bound. */
  readonly outputTokensPerMinute: number | null
}

/** A call that asks for what was bought. */
export interface UnitClaim {
  readonly team: string
  /** As the caller named the model: a name or an id of provisioned throughput is a claim by itself. */
  readonly name: string
  /** The model behind that name. */
  readonly model: string
  /** Whether the call claims by its tier. */
  readonly isByTier: boolean
}

/** Of one call. Settled once. */
export interface UnitShare {
  readonly id: string
  settle(used: UnitTokens, nowMs: number): void
}

interface Account {
  throughput: ProvisionedThroughput
  readonly input: RateLimit
  readonly output: RateLimit | null
  numRunning: number
  numWithin: number
  numSpilled: number
  promptTokens: number
  outputTokens: number
}

export class UnitBook {
  /** By id. */
  private readonly accounts = new Map<string, Account>()

  /** Nothing was sold: no call can claim anything. */
  get isEmpty(): boolean {
    return this.accounts.size === 0
  }

  get figures(): readonly UnitFigures[] {
    return [...this.accounts.values()].map(({ throughput: { name, model, units }, input: _input, output: _output, ...counts }) => ({
      name,
      model,
      units,
      ...counts,
    }))
  }

  /** New, or as it is now: what has been taken of it stays taken. */
  put(throughput: ProvisionedThroughput, { inputTokensPerMinute, outputTokensPerMinute }: UnitRate): void {
    const known = this.accounts.get(throughput.id)
    if (known !== undefined) {
      known.throughput = throughput
      return
    }
    const { units } = throughput
    this.accounts.set(throughput.id, {
      throughput,
      input: new RateLimit(units * inputTokensPerMinute),
      output: outputTokensPerMinute === null ? null : new RateLimit(units * outputTokensPerMinute),
      numRunning: 0,
      numWithin: 0,
      numSpilled: 0,
      promptTokens: 0,
      outputTokens: 0,
    })
  }

  /** Calls that run are within it to their end. */
  remove(id: string): void {
    this.accounts.delete(id)
  }

  /** Of one's own, the first that has room; null = none has, or there is none: the call is like all others then. */
  take(claim: UnitClaim, tokens: UnitTokens, nowMs: number): UnitShare | null {
    const claimed = [...this.accounts.values()].filter(({ throughput }) => isClaimed(throughput, claim))
    const account = claimed.find((each) => hasRoom(each, tokens, nowMs))
    if (account === undefined) {
      if (claimed[0] !== undefined) claimed[0].numSpilled++
      return null
    }
    account.input.take(tokens.promptTokens, nowMs)
    account.output?.take(tokens.outputTokens, nowMs)
    account.numRunning++
    account.numWithin++
    let isSettled = false
    return {
      id: account.throughput.id,
      settle: (used, endMs) => {
        if (isSettled) return
        isSettled = true
        account.numRunning--
        account.promptTokens += used.promptTokens
        account.outputTokens += used.outputTokens
        account.input.correct(used.promptTokens - tokens.promptTokens, endMs)
        account.output?.correct(used.outputTokens - tokens.outputTokens, endMs)
      },
    }
  }
}

function isClaimed({ team, model, id, name }: ProvisionedThroughput, claim: UnitClaim): boolean {
  return team === claim.team && (claim.name === name || claim.name === id || (claim.isByTier && model === claim.model))
}

function hasRoom({ input, output }: Account, { promptTokens, outputTokens }: UnitTokens, nowMs: number): boolean {
  return input.waitMs(promptTokens, nowMs) === 0 && (output?.waitMs(outputTokens, nowMs) ?? 0) === 0
}
