import type { LoadedWeight } from './load-weights.ts'
import type { Matrix } from './matrix.ts'

/** out[t] = table[tokenIds[t]] * scale. tokenIds: i32 (numTokens), each below the table's rows. */
export function embed(tokenIds: Int32Array, numTokens: number, table: LoadedWeight, scale: number, out: Matrix): void {
  const width = table.numColumns
  for (let row = 0; row < numTokens; row++) {
    const from = tokenIds[row]! * width
    const to = out.offset + row * out.stride
    for (let i = 0; i < width; i++) out.data[to + i] = table.values[from + i]! * scale
  }
}
