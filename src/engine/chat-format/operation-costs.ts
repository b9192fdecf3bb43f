/**
 * What a single operation of the template library may cost, charged before it runs: only there can a template make much out of little.
 * Sums are upper bounds of work or of the result's length.
 */
import { entriesOf, itemsOf, type JinjaValue, numberOf, textOf } from './jinja-values.ts'
import { jsonLength } from './json-length.ts'
import { type TemplateBudget, TemplateLimitError } from './template-budget.ts'

/** Filters and methods that write or compare everything inside a container. */
const DEEP_OPERATIONS: ReadonlySet<string> = new Set(['string', 'join', 'sort', 'dictsort', 'unique', 'map'])
export interface Operation {
  readonly name: string
  readonly operand: JinjaValue
  readonly args: readonly JinjaValue[]
}

const MAX_INDENT = 16
const MAX_NESTING = 64

/** Filters and methods: `name` on `operand` with the arguments, keyword arguments included. */
export function chargeOperation(budget: TemplateBudget, call: Operation): void {
  const { name, operand, args } = call
  const size = DEEP_OPERATIONS.has(name) ? deepSize(budget, operand, 0) : shallowSize(operand)
  const text = textOf(operand)
  switch (name) {
    case 'replace': {
      const replacement = longestText(args.slice(1))
      const searched = textOf(args[0])?.length ?? 0
      const numMatches = searched === 0 ? size + 1 : size / searched
      budget.allowText(size + numMatches * replacement)
      return chargeSearch(budget, size, searched)
    }
    case 'split':
    case 'startswith':
    case 'endswith':
      budget.charge(size / 4)
      return chargeSearch(budget, size, longestText(args))
    case 'join':
      return budget.allowText(size + (text === null ? (itemsOf(operand)?.length ?? 0) : size) * longestText(args))
    case 'indent':
      return budget.allowText(size * (1 + Math.max(4, largestIndent(args))))
    case 'tojson':
      return chargeJson(budget, operand, args)
    case 'sort':
    case 'dictsort':
      // Each level of a sort compares every item about once.
      return budget.charge((shallowSize(operand) + size / 64) * Math.ceil(Math.log2(shallowSize(operand) + 2)))
    case 'string':
      return budget.allowText(size)
    default:
      return budget.charge(size / 16)
  }
}

/** Arguments may be an indent, separators, and whether to escape what is not ASCII. */
function chargeJson(budget: TemplateBudget, operand: JinjaValue, args: readonly JinjaValue[]): void {
  const form = { indent: largestIndent(args), separatorLength: 2 + longestText(args), escapesAll: args.length > 0 }
  budget.allowText(jsonLength(budget, operand, form))
}

/** Operators other than `and` and `or`. */
export function chargeOperator(budget: TemplateBudget, operator: string, left: JinjaValue, right: JinjaValue): void {
  if (operator === 'in' || operator === 'not in') {
    const needle = textOf(left)?.length ?? 0
    const items = itemsOf(right)
    if (items !== null) return budget.charge(items.length * (1 + needle / 256))
    return chargeSearch(budget, shallowSize(right), needle)
  }
  const writesText = textOf(left) !== null || textOf(right) !== null || operator === '~'
  if (!writesText) return budget.charge((shallowSize(left) + shallowSize(right)) / 16)
  // Comparing a string with a container writes the container out.
  const length = deepSize(budget, left, 0) + deepSize(budget, right, 0)
  if (operator === '==' || operator === '!=') budget.charge(length / 64)
  else budget.allowText(length)
}

/** For printing a value: how long it may become. */
export function chargePrinting(budget: TemplateBudget, value: JinjaValue): void {
  if (itemsOf(value) !== null || entriesOf(value) !== null) budget.allowText(deepSize(budget, value, 0) * 8)
}

/** Looking for a text in another may compare each pair of characters. */
function chargeSearch(budget: TemplateBudget, textLength: number, searchedLength: number): void {
  budget.charge(textLength / 64 + (searchedLength > 32 ? (textLength * searchedLength) / 256 : 0))
}

export function shallowSize(value: JinjaValue | undefined): number {
  return textOf(value)?.length ?? itemsOf(value)?.length ?? entriesOf(value)?.size ?? 1
}

/** Characters and items of a value written out as a tree; shared parts count every time. Charges as it walks. */
function deepSize(budget: TemplateBudget, value: JinjaValue | undefined, depth: number): number {
  budget.charge(1)
  if (depth > MAX_NESTING) throw new TemplateLimitError(`values nested deeper than ${MAX_NESTING}`)
  const text = textOf(value)
  if (text !== null) return text.length + 2
  let size = 24
  for (const item of itemsOf(value) ?? []) size += deepSize(budget, item, depth + 1) + 2
  for (const [key, item] of entriesOf(value) ?? []) size += key.length + 4 + deepSize(budget, item, depth + 1)
  return size
}

function longestText(args: readonly JinjaValue[]): number {
  let longest = 0
  for (const arg of args) {
    longest = Math.max(longest, textOf(arg)?.length ?? 0)
    for (const item of itemsOf(arg) ?? entriesOf(arg)?.values() ?? []) longest = Math.max(longest, textOf(item)?.length ?? 0)
  }
  return longest
}

/** Every number among the arguments counts, whatever it is meant for: indents beyond reason are refused. */
function largestIndent(args: readonly JinjaValue[]): number {
  let largest = 0
  for (const arg of args) {
    largest = Math.max(largest, numberOf(arg) ?? 0)
    for (const item of entriesOf(arg)?.values() ?? []) largest = Math.max(largest, numberOf(item) ?? 0)
  }
  if (largest > MAX_INDENT) throw new TemplateLimitError(`an indent of more than ${MAX_INDENT}`)
  return largest + longestText(args)
}
