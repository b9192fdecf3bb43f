import type { Matrix } from './matrix.ts'

/** x = cap * tanh(x / cap), mutated. Gemma 2 report 2024, arXiv:2408.00118, section 2. */
export function softcap(x: Matrix, cap: number, numRows: number): void {
  for (let row = 0; row < numRows; row++) {
    const start = x.offset + row * x.stride
    for (let i = 0; i < x.width; i++) x.data[start + i] = cap * Math.tanh(x.data[start + i]! / cap)
  }
}
