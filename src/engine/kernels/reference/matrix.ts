/**
 * An f32 activation in the arena: row r starts at data[offset + r * stride] and has `width` columns. Views of other values
 * differ only in offset and width, so every op walks rows by the stride.
 */
export interface Matrix {
  readonly data: Float32Array
  readonly offset: number
  readonly stride: number
  readonly width: number
}
