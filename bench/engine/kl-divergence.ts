/** How far distributions of the next token are from those of a reference. */

/** Of all rows. */
export interface Divergence {
  /** Nats, mean over the rows. */
  readonly mean: number
  readonly max: number
  /** Share of the rows whose likeliest token is the reference's. */
  readonly sameBest: number
}

/**
 * KL(reference || other) = sum over tokens of p (log p - log q), row by row; both are (rows, vocabSize) of logits or log-probabilities, each row up
 * to a constant.
 */
export function divergence(reference: Float32Array, other: Float32Array, vocabSize: number): Divergence {
  if (reference.length !== other.length || reference.length % vocabSize !== 0 || reference.length === 0)
    throw new RangeError(`${reference.length} and ${other.length} values in rows of ${vocabSize}`)
  const rows = Array.from({ length: reference.length / vocabSize }, (_, row) => {
    const [ours, theirs] = [reference, other].map((values) => values.subarray(row * vocabSize, (row + 1) * vocabSize)) as [Float32Array, Float32Array]
    return { nats: rowDivergence(ours, theirs), isSameBest: bestOf(ours) === bestOf(theirs) }
  })
  return {
    mean: rows.reduce((sum, { nats }) => sum + nats, 0) / rows.length,
    max: Math.max(...rows.map(({ nats }) => nats)),
    sameBest: rows.filter(({ isSameBest }) => isSameBest).length / rows.length,
  }
}

function rowDivergence(reference: Float32Array, other: Float32Array): number {
  const [referenceScale, otherScale] = [logSumExp(reference), logSumExp(other)]
  let nats = 0
  for (let token = 0; token < reference.length; token++) {
    const logP = reference[token]! - referenceScale
    nats += Math.exp(logP) * (logP - (other[token]! - otherScale))
  }
  return nats
}

function logSumExp(values: Float32Array): number {
  const largest = values.reduce((best, value) => Math.max(best, value), -Infinity)
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0))
}

function bestOf(values: Float32Array): number {
  return values.reduce((best, value, token) => (value > values[best]! ? token : best), 0)
}
