/** A machine of units that take time to start, fail to, and are let go of. It asserts what no controller may do to it. */
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import type { SeededRandom } from '#base/random'
import { type ErrorRecord, InferdError } from '#contract/errors'
import type { Fleet, FleetUnit, UnitTerms } from '#platform/deployments/fleet'
import type { RouteDefinition } from '#platform/routing/route-definition'

interface FakeUnit extends FleetUnit {
  upAtMs: number
  trouble: ErrorRecord | null
  replicas: number
}

export interface Chaos {
  /** [0, 1] */
  failShare: number
  slowestStartMs: number
}

export class FakeFleet implements Fleet {
  readonly units = new Map<string, FakeUnit>()
  readonly routes = new Map<string, RouteDefinition>()
  /** Are there, or are being made, or leave. One that was refused may be asked for again. */
  private readonly taken = new Set<string>()
  private readonly refused = new Set<string>()
  private readonly clock: Clock
  private readonly random: SeededRandom
  private readonly chaos: Chaos

  constructor(clock: Clock, random: SeededRandom, chaos: Chaos) {
    this.clock = clock
    this.random = random
    this.chaos = chaos
  }

  async add(terms: UnitTerms, signal: AbortSignal): Promise<FleetUnit> {
    assert(!this.taken.has(terms.unit), `${terms.unit} is not there when it is added`)
    this.taken.add(terms.unit)
    await this.clock.sleep(this.random.nextFloat() * 300, signal)
    if (this.random.nextFloat() < this.chaos.failShare) {
      this.taken.delete(terms.unit)
      this.refused.add(terms.unit)
      throw new InferdError('insufficient_memory', 'no room')
    }
    const { clock } = this
    const unit: FakeUnit = {
      unit: terms.unit,
      upAtMs: clock.nowMs() + this.random.nextFloat() * this.chaos.slowestStartMs,
      trouble: null,
      replicas: terms.replicas,
      get isUp() {
        return unit.trouble === null && clock.nowMs() >= unit.upAtMs
      },
      get readyReplicas() {
        return unit.isUp ? unit.replicas : 0
      },
      get wantedReplicas() {
        return unit.replicas
      },
      get problem() {
        return unit.trouble
      },
      scaleTo: (replicas) => {
        unit.replicas = replicas
      },
      measure: async () => ({ concurrency: 0, invocations: 0, 'kv-usage': 0, tokens: 0 }),
    }
    if (this.random.nextFloat() < this.chaos.failShare) unit.trouble = { code: 'replica_lost', message: 'it dies', param: null, retryAfterMs: null }
    this.units.set(terms.unit, unit)
    return unit
  }

  find(unit: string): FleetUnit | null {
    return this.units.get(unit) ?? null
  }

  async retire(unit: string): Promise<void> {
    assert(this.units.has(unit) || this.refused.has(unit), `${unit} is there to be let go of`)
    for (const { name, variants, shadows } of this.routes.values())
      assert(
        [...variants, ...shadows].every(({ model }) => model !== unit),
        `${name} leads to ${unit}, which is let go of`,
      )
    await this.clock.sleep(this.random.nextFloat() * 500)
    this.units.delete(unit)
    this.taken.delete(unit)
  }

  isFreeName(): boolean {
    return true
  }

  putRoute(route: RouteDefinition): void {
    for (const { model } of [...route.variants, ...route.shadows]) assert(this.units.has(model), `${route.name} leads to ${model}, which is there`)
    this.routes.set(route.name, route)
  }

  removeRoute(name: string): void {
    this.routes.delete(name)
  }
}
