/** What a world of units knows of each: what was asked for, and what was done to it. Held against what the product says. */
import type { ServerlessTerms } from '#contract/deployment'
import type { PooledUnit } from '#platform/endpoints/pooled-unit'
import type { EndpointTrouble } from './unit-callers.ts'

const MIB = 2 ** 20

export interface UnitWish {
  readonly replicas: number
  /** Of each. */
  readonly needMib: number
  readonly serverless: ServerlessTerms | null
}

/** Times on the clock; -Infinity = never. */
export interface BookedUnit extends UnitWish {
  readonly name: string
  readonly endpoint: string
  /** null = it is still asked for, or was refused. */
  unit: PooledUnit | null
  replicas: number
  retiredMs: number
  /** When a worker of it was lost or could not load. */
  workerMs: number
}

export class UnitBook {
  private readonly units = new Map<string, BookedUnit>()
  /** Not let go of. */
  readonly living = new Set<BookedUnit>()

  open(endpoint: string, wish: UnitWish): BookedUnit {
    const name = `${endpoint}/v@${this.units.size}`
    const made: BookedUnit = { ...wish, name, endpoint, unit: null, retiredMs: -Infinity, workerMs: -Infinity }
    this.units.set(name, made)
    this.living.add(made)
    return made
  }

  get(name: string): BookedUnit {
    return this.units.get(name)!
  }

  needBytes(name: string): number {
    return this.get(name).needMib * MIB
  }

  close(made: BookedUnit, nowMs: number): void {
    made.retiredMs = nowMs
    this.living.delete(made)
  }

  /** What is to stay may not be had by others. */
  get keptBytes(): number {
    const kept = [...this.living].filter((made) => made.unit !== null && numAwake(made) > 0)
    return kept.reduce((sum, { replicas, needMib }) => sum + replicas * needMib * MIB, 0)
  }

  troubleOf(endpoint: string): EndpointTrouble {
    const units = [...this.units.values()].filter((one) => one.endpoint === endpoint)
    return {
      workerMs: Math.max(...units.map(({ workerMs }) => workerMs)),
      retiredMs: Math.max(...units.map(({ retiredMs }) => retiredMs)),
      mayLackRoom: units.some((made) => numAwake(made) === 0),
    }
  }
}

/** Replicas that are up when nobody calls. */
export function numAwake({ replicas, serverless }: BookedUnit): number {
  return serverless?.provisionedConcurrency === 0 ? 0 : replicas
}
