/** A union of the service model: an object of which exactly one member is set. */
import { type Fields, invalid, unsupported } from '#server/fields'

export interface UnionRules<Member extends string> {
  readonly known: readonly Member[]
  /** What the service knows beside them and this server does not offer. */
  readonly refused?: readonly string[]
}

/** The name of the member. Throws with the path of the member that is at fault. */
export function readMember<Member extends string>(union: Fields, path: string, { known, refused = [] }: UnionRules<Member>): Member {
  const refusedMember = refused.find((name) => union.value(name) !== undefined)
  if (refusedMember !== undefined) {
    throw unsupported(union.pathOf(refusedMember), `${union.pathOf(refusedMember)} is not supported by this server; use ${known.join(', ')}`)
  }
  union.check(Object.fromEntries([...known, ...refused].map((name) => [name, 'read'])))
  const [member, ...others] = known.filter((name) => union.value(name) !== undefined)
  if (member === undefined || others.length > 0) throw invalid(path, `${path} must have exactly one of ${known.join(', ')}`)
  return member
}
