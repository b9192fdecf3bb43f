/** What the prompt router and the fallbacks did, and what that saved. */
import type { Picodollars } from '#contract/call'
import type { Usage } from '#contract/generate'
import type { TargetStats } from './target-health.ts'

export interface RouteStats {
  readonly route: string
  readonly numCalls: number
  /** Answered by another model than the first choice. */
  readonly numFallbacks: number
  readonly byModel: Readonly<Record<string, number>>
  /** What the route's last step would have charged for the same tokens, less what the models charged; an estimate: models differ in tokens. */
  readonly estimatedSaving: Picodollars
}

export interface RoutingStats {
  readonly routes: readonly RouteStats[]
  readonly targets: readonly TargetStats[]
}

/** Price of a usage by a model. */
export type PriceOf = (model: string, usage: Usage) => Picodollars

export class RouteCounts {
  private readonly route: string
  private readonly byModel = new Map<string, number>()
  private numCalls = 0
  private numFallbacks = 0
  private saving: Picodollars = 0n

  constructor(route: string) {
    this.route = route
  }

  add(model: string, isFirstChoice: boolean, saving: Picodollars): void {
    this.numCalls++
    if (!isFirstChoice) this.numFallbacks++
    this.byModel.set(model, (this.byModel.get(model) ?? 0) + 1)
    this.saving += saving
  }

  get stats(): RouteStats {
    const { route, numCalls, numFallbacks, saving } = this
    return { route, numCalls, numFallbacks, byModel: Object.fromEntries(this.byModel), estimatedSaving: saving }
  }
}
