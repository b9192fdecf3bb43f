/** What the service model says of the members of a request, checked all at once and told in AWS's words. */
import { InferdError } from '#contract/errors'
import { invalid, isJsonObject } from '#server/fields'
import type { JsonObject } from '#server/operation'

export type MemberRule = { readonly isRequired?: boolean } & (
  | { readonly kind: 'text'; readonly minLength?: number; readonly maxLength?: number; readonly pattern?: string; readonly words?: readonly string[] }
  | { readonly kind: 'integer'; readonly min: number; readonly max?: number }
  | { readonly kind: 'number'; readonly min: number }
  | { readonly kind: 'time' }
  | { readonly kind: 'boolean' }
  /** Refused elsewhere. */
  | { readonly kind: 'any' }
  | { readonly kind: 'structure'; readonly members: MemberRules }
  | { readonly kind: 'list'; readonly maxItems: number; readonly item: MemberRule }
  /** Of texts. */
  | { readonly kind: 'map'; readonly maxItems: number }
)

export type MemberRules = Readonly<Record<string, MemberRule>>

const MAX_TOLD_LENGTH = 256
const MAX_TOLD_FAULTS = 10

/** Throws malformed_body for a value of another type, and invalid_parameter with all that is wrong otherwise. */
export function checkMembers(body: JsonObject, rules: MemberRules): void {
  const faults: string[] = []
  checkStructure(body, rules, { path: '', faults })
  if (faults.length === 0) return
  const told = faults.slice(0, MAX_TOLD_FAULTS).join('; ')
  throw new InferdError('invalid_parameter', `${faults.length} validation error${faults.length === 1 ? '' : 's'} detected: ${told}`)
}

interface Place {
  readonly path: string
  /** Grows. */
  readonly faults: string[]
}

function checkStructure(value: JsonObject, rules: MemberRules, { path, faults }: Place): void {
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(rules, name)) throw invalid(name.slice(0, MAX_TOLD_LENGTH), `${name.slice(0, MAX_TOLD_LENGTH)} is not known here`)
  }
  for (const [name, rule] of Object.entries(rules)) {
    const place = { path: `${path === '' ? '' : `${path}.`}${name[0]?.toLowerCase()}${name.slice(1)}`, faults }
    const member = Object.hasOwn(value, name) ? (value[name] ?? null) : null
    if (member !== null) checkValue(member, rule, place)
    else if (rule.isRequired === true) fault(place, null, 'Member must not be null')
  }
}

function checkValue(value: unknown, rule: MemberRule, place: Place): void {
  switch (rule.kind) {
    case 'text':
      return checkText(typed(value, typeof value === 'string', place) as string, rule, place)
    case 'integer':
      return checkInteger(typed(value, Number.isSafeInteger(value), place) as number, rule, place)
    case 'number': {
      const number = typed(value, typeof value === 'number' && Number.isFinite(value), place) as number
      if (number < rule.min) fault(place, String(number), `Member must have value greater than or equal to ${rule.min}`)
      return
    }
    case 'time':
      return void typed(value, typeof value === 'number' && Number.isFinite(value), place)
    case 'any':
      return
    case 'boolean':
      return void typed(value, typeof value === 'boolean', place)
    case 'structure':
      return checkStructure(typed(value, isJsonObject(value), place) as JsonObject, rule.members, place)
    case 'list': {
      const items = typed(value, Array.isArray(value), place) as readonly unknown[]
      if (items.length > rule.maxItems) fault(place, '[...]', `Member must have length less than or equal to ${rule.maxItems}`)
      else items.forEach((item, index) => checkValue(item, rule.item, { ...place, path: `${place.path}.${index + 1}.member` }))
      return
    }
    case 'map': {
      const entries = Object.values(typed(value, isJsonObject(value), place) as JsonObject)
      if (entries.length > rule.maxItems) fault(place, '{...}', `Member must have length less than or equal to ${rule.maxItems}`)
      entries.forEach((entry) => typed(entry, typeof entry === 'string', place))
    }
  }
}

function checkText(value: string, rule: Extract<MemberRule, { readonly kind: 'text' }>, place: Place): void {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern, words } = rule
  if (value.length < minLength) fault(place, value, `Member must have length greater than or equal to ${minLength}`)
  if (value.length > maxLength) fault(place, value, `Member must have length less than or equal to ${maxLength}`)
  else if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`, 'u').test(value))
    fault(place, value, `Member must satisfy regular expression pattern: ${pattern}`)
  if (words?.includes(value) === false) fault(place, value, `Member must satisfy enum value set: [${words.join(', ')}]`)
}

function checkInteger(value: number, { min, max }: Extract<MemberRule, { readonly kind: 'integer' }>, place: Place): void {
  if (value < min) fault(place, String(value), `Member must have value greater than or equal to ${min}`)
  if (max !== undefined && value > max) fault(place, String(value), `Member must have value less than or equal to ${max}`)
}

function fault({ path, faults }: Place, value: string | null, constraint: string): void {
  const told = value === null ? 'null' : `'${value.slice(0, MAX_TOLD_LENGTH)}'`
  faults.push(`Value ${told} at '${path}' failed to satisfy constraint: ${constraint}`)
}

function typed(value: unknown, isType: boolean, { path }: Place): unknown {
  if (!isType) throw new InferdError('malformed_body', `the value at '${path}' is of another type`)
  return value
}
