import { unreachable } from '#base/assert'
import type { Matrix } from './matrix.ts'

type Activation = 'silu' | 'gelu_tanh'

/** out = activation(gate) * up, in f64, rounded once. gelu_tanh: Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2. */
export function gatedActivation(gate: Matrix, up: Matrix, activation: Activation, numRows: number, out: Matrix): void {
  for (let row = 0; row < numRows; row++) {
    const gateStart = gate.offset + row * gate.stride
    const upStart = up.offset + row * up.stride
    const outStart = out.offset + row * out.stride
    for (let i = 0; i < out.width; i++) out.data[outStart + i] = activate(gate.data[gateStart + i]!, activation) * up.data[upStart + i]!
  }
}

function activate(x: number, activation: Activation): number {
  switch (activation) {
    case 'silu':
      return x / (1 + Math.exp(-x))
    case 'gelu_tanh':
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)))
    default:
      return unreachable(activation)
  }
}
