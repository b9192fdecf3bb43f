/** A route: a name that callers use, and which models answer to it. Plain data, as the operator wrote it. */
import type { FallbackClass } from './failure-class.ts'

export interface RouteVariant {
  readonly model: string
  /** Share of the calls, relative to the other variants. */
  readonly weight: number
}

export interface DifficultyStep {
  readonly model: string
  /** Prompts up to this score come here; [0, 1], rising, the last is 1. */
  readonly maxDifficulty: number
}

export interface RouteFallback {
  readonly model: string
  readonly on: readonly FallbackClass[]
}

export interface HedgePolicy {
  /** The second attempt starts after this quantile of the target's times to the first piece, and never before `minDelayMs`. */
  readonly quantile: number
  readonly minDelayMs: number
}

/** Gets copies of calls; what it answers is measured and thrown away. */
export interface RouteShadow {
  readonly model: string
  /** Of the calls, (0, 100]. */
  readonly percent: number
}

export interface RouteDefinition {
  readonly name: string
  /** Further names: ARNs, ids of other providers, inference profiles. Compared as a whole. */
  readonly aliases: readonly string[]
  /** At least one; drawn by weight. Empty when `byDifficulty` decides. */
  readonly variants: readonly RouteVariant[]
  /** Cheapest first. Empty: not asked. */
  readonly byDifficulty: readonly DifficultyStep[]
  readonly fallbacks: readonly RouteFallback[]
  /** Further attempts on the same target, within the retry budget. */
  readonly maxRetries: number
  /** Longest wait for the first piece of an attempt; null = the call's own deadline only. */
  readonly firstPieceTimeoutMs: number | null
  readonly hedge: HedgePolicy | null
  readonly shadows: readonly RouteShadow[]
  /** Whose it is; null = everybody's. */
  readonly team: string | null
}

/** Every model that a route may ask, in the order in which it would, each once. */
export function targetsOf({ variants, byDifficulty, fallbacks }: RouteDefinition): readonly string[] {
  return [...new Set([...byDifficulty, ...variants, ...fallbacks].map(({ model }) => model))]
}

/** Whether it must know when an answer begins: a whole one, in one piece at its end, would always be late. */
export function watchesFirstPiece({ firstPieceTimeoutMs, hedge }: RouteDefinition): boolean {
  return firstPieceTimeoutMs !== null || hedge !== null
}
