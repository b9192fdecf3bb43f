/** How long a value becomes as JSON, before it is written: an upper bound close enough that ordinary values are never refused for it. */
import { entriesOf, itemsOf, type JinjaValue, textOf } from './jinja-values.ts'
import { type TemplateBudget, TemplateLimitError } from './template-budget.ts'

const MAX_NESTING = 64
const LONGEST_NUMBER = 26

export interface JsonForm {
  /** Of one level; 0 = all on one line. */
  readonly indent: number
  /** Of what separates items, and keys from values; 2 as Python writes them. */
  readonly separatorLength: number
  /** Every character outside ASCII may be written as an escape. */
  readonly escapesAll: boolean
}

/** UTF-16 units at most. Charges as it walks; shared parts count every time. */
export function jsonLength(budget: TemplateBudget, value: JinjaValue | undefined, form: JsonForm, depth = 0): number {
  budget.charge(1)
  if (depth > MAX_NESTING) throw new TemplateLimitError(`values nested deeper than ${MAX_NESTING}`)
  const text = textOf(value)
  if (text !== null) return stringLength(budget, text, form)
  const perItem = form.separatorLength + (form.indent === 0 ? 0 : 1 + form.indent * (depth + 1))
  let length = LONGEST_NUMBER + perItem
  for (const item of itemsOf(value) ?? []) length += perItem + jsonLength(budget, item, form, depth + 1)
  for (const [key, item] of entriesOf(value) ?? []) {
    length += perItem + form.separatorLength + stringLength(budget, key, form) + jsonLength(budget, item, form, depth + 1)
  }
  return length
}

function stringLength(budget: TemplateBudget, text: string, { escapesAll }: JsonForm): number {
  budget.charge(text.length / 64)
  let length = 2
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    // Half a surrogate pair is escaped, a pair is not: both count as escaped.
    const isEscaped = unit < 0x20 || (unit >= 0xd800 && unit <= 0xdfff) || (escapesAll && unit > 0x7e)
    length += isEscaped ? 6 : unit === 0x22 || unit === 0x5c ? 2 : 1
  }
  return length
}
