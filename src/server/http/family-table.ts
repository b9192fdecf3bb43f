/** The protocol families of this server: whose routes there are, and in whose shape an error is told to whom. */
import { assert } from '#base/assert'
import type { ProtocolFamily } from '#server/operation'

export class FamilyTable {
  readonly all: readonly ProtocolFamily[]

  /** The first one speaks where no path tells: health routes, unknown paths, bytes that never became a request. */
  constructor(families: readonly ProtocolFamily[]) {
    assert(families.length > 0, 'a server speaks at least one protocol')
    this.all = families
  }

  get fallback(): ProtocolFamily {
    return this.all[0]!
  }

  /** `path`: without query. */
  of(path: string): ProtocolFamily {
    let found: ProtocolFamily | null = null
    for (const family of this.all) {
      if (path.startsWith(family.pathPrefix) && family.pathPrefix.length > (found?.pathPrefix.length ?? 0)) found = family
    }
    return found ?? this.fallback
  }
}
