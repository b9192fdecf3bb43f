import type { Matrix } from './matrix.ts'

/** out[r] = x[outputRows[r]]. outputRows: i32 (numOutputs), token rows. */
export function selectRows(x: Matrix, outputRows: Int32Array, numOutputs: number, out: Matrix): void {
  for (let row = 0; row < numOutputs; row++) {
    const from = x.offset + outputRows[row]! * x.stride
    out.data.copyWithin(out.offset + row * out.stride, from, from + x.width)
  }
}
