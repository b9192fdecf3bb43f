/** Decimal numbers as exact integers of a power of ten: money and factors never meet a float. */

/** '1.25' with 6 digits -> 1250000n. null for a text that is no plain non-negative decimal, or has more digits behind the point. */
export function parseDecimal(text: string, numFractionDigits: number): bigint | null {
  const [, whole, fraction = ''] = /^(\d{1,18})(?:\.(\d{1,18}))?$/.exec(text.trim()) ?? []
  const kept = fraction.replace(/0+$/, '')
  if (whole === undefined || kept.length > numFractionDigits) return null
  return BigInt(whole + kept.padEnd(numFractionDigits, '0'))
}

/** 1250000n with 6 digits -> '1.25'. */
export function formatDecimal(value: bigint, numFractionDigits: number): string {
  const sign = value < 0n ? '-' : ''
  const digits = (value < 0n ? -value : value).toString().padStart(numFractionDigits + 1, '0')
  const fraction = digits.slice(digits.length - numFractionDigits).replace(/0+$/, '')
  return `${sign}${digits.slice(0, digits.length - numFractionDigits)}${fraction === '' ? '' : `.${fraction}`}`
}

/** numerator / denominator to the nearest integer, halves up. Both non-negative. */
export function divideRounded(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator / 2n) / denominator
}
