import type { Matrix } from './matrix.ts'

/** out = a + b, rounded to f32; out may be a or b. */
export function add(a: Matrix, b: Matrix, numRows: number, out: Matrix): void {
  for (let row = 0; row < numRows; row++) {
    const aStart = a.offset + row * a.stride
    const bStart = b.offset + row * b.stride
    const outStart = out.offset + row * out.stride
    for (let i = 0; i < out.width; i++) out.data[outStart + i] = a.data[aStart + i]! + b.data[bStart + i]!
  }
}
