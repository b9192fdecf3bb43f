import type { Matrix } from './matrix.ts'

/**
 * out = x / sqrt(mean(x^2) + epsilon) * weight, each group of columns on its own; out may be x. weight: f32 (groupWidth).
 * The mean is summed in f64. Zhang and Sennrich 2019, arXiv:1910.07467.
 */
export function rmsNorm(x: Matrix, weight: Float32Array, epsilon: number, numRows: number, out: Matrix): void {
  const groupWidth = weight.length
  for (let row = 0; row < numRows; row++) {
    for (let group = 0; group < x.width; group += groupWidth) {
      const from = x.offset + row * x.stride + group
      const to = out.offset + row * out.stride + group
      let sum = 0
      for (let i = 0; i < groupWidth; i++) sum += x.data[from + i]! * x.data[from + i]!
      const factor = 1 / Math.sqrt(sum / groupWidth + epsilon)
      for (let i = 0; i < groupWidth; i++) out.data[to + i] = x.data[from + i]! * factor * weight[i]!
    }
  }
}
