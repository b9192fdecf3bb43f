/** The units of this machine by name, in the pool and in the registry, where routes find them and callers do not. */
import type { UnitTerms } from '#platform/deployments/fleet'
import type { ModelRegistry } from '#platform/registry/model-registry'
import { type Artifact, PooledUnit, type PooledUnitParts } from './pooled-unit.ts'

export type PooledUnitsParts = Omit<PooledUnitParts, 'terms' | 'artifact'> & { readonly registry: ModelRegistry }

export class PooledUnits {
  private readonly parts: PooledUnitsParts
  private readonly units = new Map<string, { readonly unit: PooledUnit; readonly base: string | null }>()

  constructor(parts: PooledUnitsParts) {
    this.parts = parts
  }

  /** As Fleet.add. */
  async add(terms: UnitTerms, artifact: Artifact, signal: AbortSignal): Promise<PooledUnit> {
    const { registry } = this.parts
    const unit = await PooledUnit.open({ ...this.parts, terms, artifact }, signal)
    registry.addServed(unit.served, {
      numReplicas: () => Math.max(1, unit.wantedReplicas),
      maxRunning: terms.serverless?.maxConcurrency ?? null,
      isListed: false,
    })
    this.units.set(unit.unit, { unit, base: artifact.base })
    return unit
  }

  find(name: string): PooledUnit | null {
    return this.units.get(name)?.unit ?? null
  }

  /** Whose price and settings a model has: those of the one that a unit was made of, else its own. */
  baseOf(name: string): string {
    return this.units.get(name)?.base ?? name
  }

  /** No route may lead to it any more. Resolves when its processes are gone. */
  async retire(name: string): Promise<void> {
    const known = this.units.get(name)
    if (known === undefined) return
    await known.unit.retire()
    this.parts.registry.removeServed(name)
    this.units.delete(name)
  }
}
