/**
 * Rotary position embedding. The angle is position * inverseFrequency in f64 (the frequency is an f32); cosine and sine are
 * taken in f64, multiplied by the table's magnitude and rounded to f32; the rotation is f64 rounded to f32 once.
 * Su et al. 2021, arXiv:2104.09864, section 3.
 */
import type { RopeTable } from '#engine/program/program'
import type { Matrix } from './matrix.ts'

/** Cosine and sine of every token of the step, f32 (numTokens, rotaryDim / 2): the same for all heads and layers. */
export interface Rotations {
  readonly cosines: Float32Array
  readonly sines: Float32Array
}

/** positions: i32 (numTokens), absolute, 0-based. Mutates `rotations`. */
export function fillRotations(table: RopeTable, positions: Int32Array, numTokens: number, rotations: Rotations): void {
  const numPairs = table.inverseFrequencies.length
  for (let token = 0; token < numTokens; token++) {
    for (let pair = 0; pair < numPairs; pair++) {
      const angle = positions[token]! * table.inverseFrequencies[pair]!
      rotations.cosines[token * numPairs + pair] = Math.cos(angle) * table.magnitude
      rotations.sines[token * numPairs + pair] = Math.sin(angle) * table.magnitude
    }
  }
}

interface RopeShape {
  readonly headDim: number
  readonly rotaryDim: number
  readonly pairing: 'interleaved' | 'half-split'
}

/** Rotates the first rotaryDim columns of every head of x, mutated. */
export function rope(x: Matrix, { headDim, rotaryDim, pairing }: RopeShape, rotations: Rotations, numTokens: number): void {
  const numPairs = rotaryDim / 2
  const [pairStep, partner] = pairing === 'interleaved' ? [2, 1] : [1, numPairs]
  for (let token = 0; token < numTokens; token++) {
    for (let head = 0; head < x.width; head += headDim) {
      const start = x.offset + token * x.stride + head
      for (let pair = 0; pair < numPairs; pair++) {
        const cosine = rotations.cosines[token * numPairs + pair]!
        const sine = rotations.sines[token * numPairs + pair]!
        const first = start + pair * pairStep
        const [a, b] = [x.data[first]!, x.data[first + partner]!]
        x.data[first] = a * cosine - b * sine
        x.data[first + partner] = a * sine + b * cosine
      }
    }
  }
}
