/**
 * The part of JSONPath that SageMaker's batch transform has: `$`, `.name`, `['name','name']`, `[0,-1,2:5]`, `*`. What a path names must be
 * there: nothing is left out silently. Source: "Supported JSONPath operators" of the SageMaker developer guide.
 */

/** From the end when negative; `end` is exclusive; null = open. */
interface Slice {
  readonly start: number | null
  readonly end: number | null
}

type PathStep =
  | { readonly kind: 'name'; readonly name: string }
  /** An object of these members. Always the last step. */
  | { readonly kind: 'names'; readonly names: readonly string[] }
  | { readonly kind: 'index'; readonly index: number }
  /** A list. Steps behind it go into each of its items. */
  | { readonly kind: 'picks'; readonly picks: readonly (number | Slice)[] }
  /** The same, of all items or members. */
  | { readonly kind: 'all' }

export type JsonPath = readonly PathStep[]

const DOT_STEP = /\.(?:(\*)|([^.[\]'"*\s,:$@?()]+))/y
const NAME = String.raw`(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")`
/** The documented form `$.field.['a','b']` has a dot of its own. */
const NAMES_STEP = new RegExp(String.raw`\.?\[\s*(${NAME}(?:\s*,\s*${NAME})*)\s*\]`, 'y')
const EACH_NAME = new RegExp(NAME, 'g')
const PICK = String.raw`(?:-?\d{1,9}|-?(?:\d{1,9})?\s*:\s*(?:-?\d{1,9})?)`
const PICKS_STEP = new RegExp(String.raw`\[\s*(\*|${PICK}(?:\s*,\s*${PICK})*)\s*\]`, 'y')

/** null = it is no such path. */
export function parseJsonPath(text: string): JsonPath | null {
  if (!text.startsWith('$')) return null
  const steps: PathStep[] = []
  for (let at = 1; at < text.length;) {
    const found = stepAt(text, at)
    if (found === null || steps.at(-1)?.kind === 'names') return null
    steps.push(found.step)
    at = found.end
  }
  return steps
}

function stepAt(text: string, at: number): { readonly step: PathStep; readonly end: number } | null {
  for (const [pattern, read] of READERS) {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match === null) continue
    const step = read(match)
    return step === null ? null : { step, end: pattern.lastIndex }
  }
  return null
}

const READERS: readonly (readonly [RegExp, (match: RegExpExecArray) => PathStep | null])[] = [
  [DOT_STEP, ([, star, name = '']) => (star === undefined ? { kind: 'name', name } : { kind: 'all' })],
  [NAMES_STEP, ([, list = '']) => namesStep(list)],
  [PICKS_STEP, ([, list = '']) => picksStep(list)],
]

function namesStep(list: string): PathStep {
  const names = [...list.matchAll(EACH_NAME)].map(([, single, double]) => (single ?? double ?? '').replace(/\\(.)/g, '$1'))
  const [first, ...others] = names
  return first !== undefined && others.length === 0 ? { kind: 'name', name: first } : { kind: 'names', names }
}

function picksStep(list: string): PathStep | null {
  if (list === '*') return { kind: 'all' }
  const picks = list.split(',').map(pickOf)
  if (picks.some((pick) => pick === null)) return null
  const [first, ...others] = picks
  return typeof first === 'number' && others.length === 0 ? { kind: 'index', index: first } : { kind: 'picks', picks: picks as (number | Slice)[] }
}

function pickOf(text: string): number | Slice | null {
  const parts = text.split(':').map((part) => part.trim())
  if (parts.includes('-')) return null
  const [start, end] = parts.map((part) => (part === '' ? null : Number(part)))
  return end === undefined ? (start ?? null) : { start: start ?? null, end }
}

/** `value` is parsed JSON, never changed. undefined = something that the path names is not there. */
export function selectPath(value: unknown, path: JsonPath): unknown {
  const [step, ...rest] = path
  if (step === undefined) return value
  if (step.kind === 'names') return membersOf(value, step.names)
  if (step.kind === 'name') return into(memberOf(value, step.name), rest)
  if (step.kind === 'index') return into(Array.isArray(value) ? value.at(step.index) : undefined, rest)
  const items = step.kind === 'all' ? everyItem(value) : pickedItems(value, step.picks)
  const found = items?.map((item) => into(item, rest))
  return found === undefined || found.includes(undefined) ? undefined : found
}

function into(value: unknown, rest: JsonPath): unknown {
  return value === undefined ? undefined : selectPath(value, rest)
}

function memberOf(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

/** Numbers that keep their digits are objects too, of no prototype. */
function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

function membersOf(value: unknown, names: readonly string[]): unknown {
  const members = names.map((name) => [name, memberOf(value, name)] as const)
  return members.some(([, member]) => member === undefined) ? undefined : Object.fromEntries(members)
}

function everyItem(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value
  return isRecord(value) ? Object.values(value) : undefined
}

function pickedItems(value: unknown, picks: readonly (number | Slice)[]): readonly unknown[] | undefined {
  if (!Array.isArray(value)) return undefined
  return picks.flatMap((pick) => (typeof pick === 'number' ? [value.at(pick)] : value.slice(pick.start ?? 0, pick.end ?? undefined)))
}
