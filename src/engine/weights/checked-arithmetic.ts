/**
 * Arithmetic on numbers that a file wrote. Every sum and product of them goes through here: null means that the exact
 * result is not a safe integer, and the caller answers with the field's name. (Five CVEs of one loader were one unchecked sum.)
 */

/** a + b, or null beyond 2^53 - 1. Both natural numbers. */
export function addChecked(a: number, b: number): number | null {
  const sum = a + b
  return Number.isSafeInteger(sum) ? sum : null
}

/** a * b, or null beyond 2^53 - 1. Both natural numbers. */
function multiplyChecked(a: number, b: number): number | null {
  const product = a * b
  return Number.isSafeInteger(product) ? product : null
}

/** The least multiple of `alignment` (> 0) that is not below `value`, or null beyond 2^53 - 1. */
export function alignUpChecked(value: number, alignment: number): number | null {
  const rest = value % alignment
  return rest === 0 ? value : addChecked(value, alignment - rest)
}

/** Product of all dimensions, or null beyond 2^53 - 1. */
export function productChecked(dimensions: readonly number[]): number | null {
  let product: number | null = 1
  for (const dimension of dimensions) {
    product = multiplyChecked(product, dimension)
    if (product === null) return null
  }
  return product
}
