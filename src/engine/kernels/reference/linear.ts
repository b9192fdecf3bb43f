/**
 * out = x * weight^T (+ bias) (+ residual). A dot product is one f64 sum in column order, rounded to f32 once, after bias and
 * residual: the result of a row never depends on the other rows of the batch. Activations are rounded to 8-bit groups first
 * where the weight is quantized (quantize-activation.ts); d * q is exact in f32, so the plain product is the sum over groups
 * of d * (weights . q).
 */
import type { LoadedWeight } from './load-weights.ts'
import type { Matrix } from './matrix.ts'
import { roundActivation } from './quantize-activation.ts'

interface LinearOperands {
  readonly x: Matrix
  readonly weight: LoadedWeight
  /** f32 (weight rows). */
  readonly bias: Float32Array | null
  /** May be `out`. */
  readonly residual: Matrix | null
  readonly out: Matrix
}

/** scratch: f32, at least numRows * x.width, mutated: the rows of x side by side. */
export function linear({ x, weight, bias, residual, out }: LinearOperands, numRows: number, scratch: Float32Array): void {
  packRows(x, weight.isQuantized, numRows, scratch)
  const { values, numColumns } = weight
  let column = 0
  // Four weight rows at a time: four independent sums keep the processor busy, and each is still in column order.
  for (; column + 4 <= weight.numRows; column += 4) {
    const w0 = column * numColumns
    for (let row = 0; row < numRows; row++) {
      const at = row * numColumns
      let [sum0, sum1, sum2, sum3] = [0, 0, 0, 0]
      for (let i = 0; i < numColumns; i++) {
        const activation = scratch[at + i]!
        const w = w0 + i
        sum0 += activation * values[w]!
        sum1 += activation * values[w + numColumns]!
        sum2 += activation * values[w + 2 * numColumns]!
        sum3 += activation * values[w + 3 * numColumns]!
      }
      store(sum0, row, column, bias, residual, out)
      store(sum1, row, column + 1, bias, residual, out)
      store(sum2, row, column + 2, bias, residual, out)
      store(sum3, row, column + 3, bias, residual, out)
    }
  }
  for (; column < weight.numRows; column++) {
    for (let row = 0; row < numRows; row++) {
      let sum = 0
      for (let i = 0; i < numColumns; i++) sum += scratch[row * numColumns + i]! * values[column * numColumns + i]!
      store(sum, row, column, bias, residual, out)
    }
  }
}

function packRows(x: Matrix, isQuantized: boolean, numRows: number, packed: Float32Array): void {
  for (let row = 0; row < numRows; row++) {
    const from = x.offset + row * x.stride
    const to = packed.subarray(row * x.width, (row + 1) * x.width)
    if (isQuantized) roundActivation(x.data, from, x.width, to)
    else to.set(x.data.subarray(from, from + x.width))
  }
}

function store(sum: number, row: number, column: number, bias: Float32Array | null, residual: Matrix | null, out: Matrix): void {
  let result = sum
  if (bias !== null) result += bias[column]!
  if (residual !== null) result += residual.data[residual.offset + row * residual.stride + column]!
  out.data[out.offset + row * out.stride + column] = result
}
