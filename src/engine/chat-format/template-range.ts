/** The template language's `range`, with an end. */
import { arrayValue, integerValue, type JinjaValue } from './jinja-values.ts'
import { TemplateLimitError } from './template-budget.ts'
import { TemplateFault } from './template-fault.ts'

/** `range(stop)`, `range(start, stop)` or `range(start, stop, step)`, at most `maxItems` long. Nulls are arguments that are no numbers. */
export function rangeOf(args: readonly (number | null)[], maxItems: number): JinjaValue {
  const [first, second, third] = args
  const start = second === undefined ? 0 : (first ?? Number.NaN)
  const stop = second === undefined ? (first ?? Number.NaN) : (second ?? Number.NaN)
  const step = third === undefined ? 1 : (third ?? 0)
  const isSound = Number.isFinite(start) && Number.isFinite(stop) && Number.isInteger(step) && step !== 0
  if (!isSound) throw new TemplateFault('range() needs whole numbers')
  const numItems = Math.max(0, Math.ceil((stop - start) / step))
  if (numItems > maxItems) throw new TemplateLimitError(`a range of more than ${maxItems} items`)
  return arrayValue(Array.from({ length: numItems }, (_, index) => integerValue(start + index * step)))
}
