/** Names to routes. A model is a route of its own; an alias is another name of one. */
import type { RouteEntry } from '#config/platform-file/routes'
import { InferdError } from '#contract/errors'
import { targetsOf, type RouteDefinition } from './route-definition.ts'

export const ROUTE_DEFAULTS = {
  aliases: [],
  variants: [],
  byDifficulty: [],
  fallbacks: [],
  maxRetries: 0,
  firstPieceTimeoutMs: null,
  hedge: null,
  shadows: [],
  team: null,
} as const

/** Throws invalid_parameter for a route that names no model, a model twice as fallback, or a name that is taken; `put` conflict for the last. */
export class RouteTable {
  private readonly byName = new Map<string, RouteDefinition>()
  /** Came later, and may be replaced and removed. */
  private readonly late = new Set<string>()
  private readonly hasModel: (name: string) => boolean

  constructor(routes: readonly RouteDefinition[], hasModel: (name: string) => boolean) {
    this.hasModel = hasModel
    for (const route of routes) {
      for (const name of [route.name, ...route.aliases]) this.add(name, route)
      checkRoute(route, hasModel)
    }
  }

  get routes(): readonly RouteDefinition[] {
    return [...new Set(this.byName.values())]
  }

  isFree(name: string): boolean {
    return this.isFor(name, null)
  }

  /** New, or in the place of one that was put before for the same team. */
  put(route: RouteDefinition): void {
    const names = [route.name, ...route.aliases]
    const taken = names.find((name) => !this.isFor(name, route.team) || this.hasModel(name))
    if (taken !== undefined) throw new InferdError('conflict', `the name '${taken}' is taken`)
    checkRoute(route, this.hasModel)
    for (const name of names) {
      this.late.add(name)
      this.byName.set(name, route)
    }
  }

  /** Of one that was put. */
  remove(name: string): void {
    if (!this.late.has(name)) return
    for (const each of [name, ...(this.byName.get(name)?.aliases ?? [])]) {
      this.late.delete(each)
      this.byName.delete(each)
    }
  }

  private isFor(name: string, team: string | null): boolean {
    const route = this.byName.get(name)
    return route === undefined || (this.late.has(name) && route.team === team)
  }

  find(name: string): RouteDefinition | null {
    return this.byName.get(name) ?? null
  }

  private add(name: string, route: RouteDefinition): void {
    if (this.byName.has(name)) throw wrong(route, `the name '${name}' is given twice`)
    this.byName.set(name, route)
  }
}

/** Routes as the platform's file has them. */
export function routeDefinitions(entries: readonly RouteEntry[]): readonly RouteDefinition[] {
  return entries.map(({ models, firstPieceTimeoutS, ...route }) => ({
    ...route,
    shadows: [],
    team: null,
    variants: models,
    firstPieceTimeoutMs: firstPieceTimeoutS === null ? null : firstPieceTimeoutS * 1000,
  }))
}

/** The route of a model that is called by its own name. */
export function directRoute(name: string): RouteDefinition {
  return { ...ROUTE_DEFAULTS, name, variants: [{ model: name, weight: 1 }] }
}

function checkRoute(route: RouteDefinition, hasModel: (name: string) => boolean): void {
  const { variants, byDifficulty, fallbacks } = route
  if ((variants.length === 0) === (byDifficulty.length === 0)) throw wrong(route, 'give either models or byDifficulty')
  if (variants.length > 0 && variants.every(({ weight }) => weight === 0)) throw wrong(route, 'one weight must be above 0')
  if (byDifficulty.some((step, index) => index > 0 && step.maxDifficulty <= byDifficulty[index - 1]!.maxDifficulty))
    throw wrong(route, 'maxDifficulty must rise from step to step')
  if (byDifficulty.length > 0 && byDifficulty.at(-1)!.maxDifficulty < 1) throw wrong(route, 'the last step must have maxDifficulty 1')
  for (const list of [variants, byDifficulty, fallbacks])
    if (new Set(list.map(({ model }) => model)).size < list.length) throw wrong(route, 'a model stands twice in one list')
  const unknown = targetsOf(route).find((model) => !hasModel(model))
  if (unknown !== undefined) throw wrong(route, `there is no model '${unknown}'`)
}

function wrong({ name }: RouteDefinition, words: string): InferdError {
  return new InferdError('invalid_parameter', `route '${name}': ${words}`, { param: '--config' })
}
