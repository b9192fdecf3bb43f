/** The protocol families of this server: whose routes there are, and in whose shape an error is told to whom. */
import { assert } from '#base/assert'
import type { ProtocolFamily, ProtocolRoute } from '#server/operation'

/** A route, and the name of its family. */
export interface FamilyRoute {
  readonly dialect: string
  readonly route: ProtocolRoute
}

export class FamilyTable {
  readonly all: readonly ProtocolFamily[]

  /** The first one speaks where no path tells: health routes, unknown paths, bytes that never became a request. */
  constructor(families: readonly ProtocolFamily[]) {
    assert(families.length > 0, 'a server speaks at least one protocol')
    this.all = families
  }

  /** Routes with one method and path together, those that ask for a header before those that take everybody. */
  routeGroups(): readonly (readonly [FamilyRoute, ...FamilyRoute[]])[] {
    const groups = new Map<string, [FamilyRoute, ...FamilyRoute[]]>()
    for (const { name, routes } of this.all) {
      for (const route of routes) {
        const key = `${route.method} ${route.path}`
        const group = groups.get(key)
        const row: FamilyRoute = { dialect: name, route }
        if (group === undefined) groups.set(key, [row])
        else if (route.matches === undefined) group.push(row)
        else group.unshift(row)
      }
    }
    return [...groups.values()]
  }

  get fallback(): ProtocolFamily {
    return this.all[0]!
  }

  /** `path`: without query. */
  of(path: string, headers: Readonly<Record<string, unknown>>): ProtocolFamily {
    let found = this.fallback
    let longest = 0
    for (const family of this.all) {
      const { headerMark: mark, pathPrefixes } = family
      if (family.claims?.(path, headers) === true) return family
      if (mark !== undefined && headers[mark.name] !== undefined && path.startsWith(mark.pathPrefix)) return family
      const length = Math.max(0, ...pathPrefixes.filter((prefix) => path.startsWith(prefix)).map((prefix) => prefix.length))
      if (length > longest) [found, longest] = [family, length]
    }
    return found
  }
}
