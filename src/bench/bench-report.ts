/** The report of a run: what was asked of which server, and the figures of each level of load. Written as it is by `--json`. */
import type { LevelFigures } from './level-figures.ts'
import type { Load } from './load.ts'
import type { Objective } from './objective.ts'
import type { BenchEndpoint } from './openai-server.ts'
import type { PromptShape, PromptSource } from './prompt-maker.ts'

export interface BenchReport {
  readonly url: string
  readonly model: string
  readonly endpoint: BenchEndpoint
  readonly isStreamed: boolean
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly seed: number
  readonly shape: PromptShape
  readonly source: PromptSource
  readonly objective: Objective | null
  readonly numWarmUps: number
  /** Why there is less than was asked for; null = it is complete. */
  readonly partialReason: string | null
  readonly levels: readonly LevelReport[]
}

export interface LevelReport extends LevelFigures {
  readonly load: Load
  /** Whether it was stopped before its end. */
  readonly isPartial: boolean
}
