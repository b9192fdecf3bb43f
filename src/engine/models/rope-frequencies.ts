/**
 * Inverse frequencies of rotary embeddings, in double precision. Head dimension pair i turns by position * frequency(i),
 * where frequency(i) = theta^(-2i / rotaryDim), stretched by one of the scalings that lengthen a model's context.
 * Su et al. 2021, arXiv:2104.09864. YaRN: Peng et al. 2023, arXiv:2309.00071. Long rope: Ding et al. 2024, arXiv:2402.13753.
 */
import { unreachable } from '#base/assert'
import type { RopeConfig, RopeScaling } from './architecture.ts'

export interface RopeFrequencies {
  /** f32 (rotaryDim / 2). */
  readonly inverseFrequencies: Float32Array<ArrayBuffer>
  /** Factor of cosine and sine. */
  readonly magnitude: number
}

type Scaled<Kind extends RopeScaling['kind']> = Extract<RopeScaling, { kind: Kind }>

/** Frequencies of the global layers. servedContextLength, in tokens, picks between the short and the long factors. */
export function ropeFrequencies(rope: RopeConfig, servedContextLength: number): RopeFrequencies {
  const plain = plainFrequencies(rope.theta, rope.rotaryDim)
  const { scaling } = rope
  switch (scaling.kind) {
    case 'none':
      return rounded(plain, 1)
    case 'linear':
      return rounded(plain.map((frequency) => frequency / scaling.factor), 1)
    case 'llama3':
      return rounded(plain.map((frequency) => llama3Frequency(frequency, scaling)), 1)
    case 'yarn':
      return rounded(yarnFrequencies(plain, rope, scaling), scaling.attentionFactor)
    case 'factors': {
      const factors = servedContextLength > scaling.originalContextLength ? scaling.long : scaling.short
      return rounded(plain.map((frequency, i) => frequency / factors[i]!), scaling.attentionFactor)
    }
    default:
      return unreachable(scaling)
  }
}

/** Frequencies of sliding-window layers that have their own base; no scaling reaches them. */
export function localRopeFrequencies(localTheta: number, rotaryDim: number): RopeFrequencies {
  return rounded(plainFrequencies(localTheta, rotaryDim), 1)
}

function plainFrequencies(theta: number, rotaryDim: number): number[] {
  return Array.from({ length: rotaryDim / 2 }, (_, i) => theta ** ((-2 * i) / rotaryDim))
}

function rounded(frequencies: readonly number[], magnitude: number): RopeFrequencies {
  return { inverseFrequencies: Float32Array.from(frequencies), magnitude }
}

/** Waves shorter than the original context keep their frequency, longer ones are slowed by the factor, those between are mixed. */
function llama3Frequency(frequency: number, scaling: Scaled<'llama3'>): number {
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalContextLength } = scaling
  const turns = (originalContextLength * frequency) / (2 * Math.PI)
  if (turns > highFrequencyFactor) return frequency
  if (turns < lowFrequencyFactor) return frequency / factor
  const smooth = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
  return ((1 - smooth) * frequency) / factor + smooth * frequency
}

/** Section 3.2 of the paper; the ramp's ends are whole dimensions, as in the authors' code. */
function yarnFrequencies(plain: readonly number[], rope: RopeConfig, scaling: Scaled<'yarn'>): number[] {
  const { rotaryDim, theta } = rope
  const dimensionOfTurns = (turns: number) => (rotaryDim * Math.log(scaling.originalContextLength / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const low = Math.max(Math.floor(dimensionOfTurns(scaling.betaFast)), 0)
  const high = Math.min(Math.ceil(dimensionOfTurns(scaling.betaSlow)), rotaryDim - 1)
  const width = high === low ? 0.001 : high - low
  return plain.map((frequency, i) => {
    const interpolated = Math.min(Math.max((i - low) / width, 0), 1)
    return (frequency / scaling.factor) * interpolated + frequency * (1 - interpolated)
  })
}
