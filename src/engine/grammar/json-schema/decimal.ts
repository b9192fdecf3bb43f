/** Numbers of JSON as exact decimals: what their shortest text says; of whole numbers, what the double holds. */

/** `coefficient` x 10^`exponent`; the coefficient has no trailing zeros, 0 is 0 x 10^0. */
export interface Decimal {
  readonly coefficient: bigint
  readonly exponent: number
}

/** `value` is finite. */
export function toDecimal(value: number): Decimal {
  const exact = Number.isInteger(value) ? String(BigInt(value)) : String(value)
  const [mantissa = '0', power = '0'] = exact.split('e')
  const [whole = '0', fraction = ''] = mantissa.split('.')
  let coefficient = BigInt(whole + fraction)
  let exponent = Number(power) - fraction.length
  if (coefficient === 0n) return { coefficient: 0n, exponent: 0 }
  if (value < 0 && coefficient > 0n) coefficient = -coefficient
  while (coefficient % 10n === 0n) {
    coefficient /= 10n
    exponent++
  }
  return { coefficient, exponent }
}

/** In units of 10^-places, rounded towards Infinity (`up`) or -Infinity. */
export function inUnits(value: number, places: number, up: boolean): bigint {
  const { coefficient, exponent } = toDecimal(value)
  const shift = exponent + places
  if (shift >= 0) return coefficient * 10n ** BigInt(shift)
  const divisor = 10n ** BigInt(-shift)
  const quotient = coefficient / divisor
  const rest = coefficient % divisor
  if (rest === 0n) return quotient
  if (up) return rest > 0n ? quotient + 1n : quotient
  return rest < 0n ? quotient - 1n : quotient
}

export function isMultipleOf(value: number, divisor: number): boolean {
  const a = toDecimal(value)
  const b = toDecimal(divisor)
  const exponent = Math.min(a.exponent, b.exponent)
  return (a.coefficient * 10n ** BigInt(a.exponent - exponent)) % (b.coefficient * 10n ** BigInt(b.exponent - exponent)) === 0n
}
