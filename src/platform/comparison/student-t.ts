/** Student's t: its distribution by the regularized incomplete beta function, and its quantile. Also for degrees of freedom that are no integer. */
import { assert } from '#base/assert'

/** More degrees of freedom count as these: quantiles then lie within 3e-6 of the normal distribution, and the logarithms keep nine digits. */
const MAX_DEGREES = 1e6

/** The x with P(T <= x) = `probability`, which lies in (0, 1). Bisection: the distribution is monotone, and a report asks a few times only. */
export function studentQuantile(probability: number, degrees: number): number {
  assert(probability > 0 && probability < 1, 'a probability lies in (0, 1)')
  assert(degrees > 0, 'degrees of freedom are positive')
  if (probability < 0.5) return -studentQuantile(1 - probability, degrees)
  let low = 0
  let high = 1
  while (studentDistribution(high, degrees) < probability && high < 1e300) high *= 2
  for (let step = 0; step < 200 && high - low > 1e-13 * high; step++) {
    const middle = (low + high) / 2
    if (studentDistribution(middle, degrees) < probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** P(T <= x). */
function studentDistribution(x: number, degrees: number): number {
  const df = Math.min(degrees, MAX_DEGREES)
  const tail = incompleteBeta(df / (df + x * x), df / 2, 0.5) / 2
  return x >= 0 ? 1 - tail : tail
}

/** I_x(a, b) by its continued fraction (DLMF 8.17.22), on the side where it converges. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x))
  if (x < (a + 1) / (a + b + 2)) return (front * betaFraction(x, a, b)) / a
  return 1 - (front * betaFraction(1 - x, b, a)) / b
}

/** Lentz's method. */
function betaFraction(x: number, a: number, b: number): number {
  const tiny = 1e-300
  let c = 1
  let d = 1 / awayFromZero(1 - ((a + b) * x) / (a + 1), tiny)
  let value = d
  for (let m = 1; m <= 10_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / awayFromZero(1 + even * d, tiny)
    c = awayFromZero(1 + even / c, tiny)
    value *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / awayFromZero(1 + odd * d, tiny)
    c = awayFromZero(1 + odd / c, tiny)
    value *= d * c
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return value
}

function awayFromZero(value: number, tiny: number): number {
  return Math.abs(value) < tiny ? tiny : value
}

/** ln Γ(x), x > 0: Stirling's series (DLMF 5.11.1) from 10 up, the recurrence below. */
function logGamma(x: number): number {
  let shift = 0
  let y = x
  for (; y < 10; y++) shift += Math.log(y)
  const inverse = 1 / (y * y)
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188)))) / y
  return (y - 0.5) * Math.log(y) - y + Math.log(2 * Math.PI) / 2 + series - shift
}
