/**
 * How rotary embeddings are configured: GGUF keys and factor tensors, config.json in its older form (`rope_theta`,
 * `rope_scaling`) and its newer one (`rope_parameters`). Defaults and formulas: transformers modeling_rope_utils.py 5.23.
 */
import type { TensorFile } from '#engine/weights/tensor-file'
import type { RopeConfig, RopeScaling } from './architecture.ts'
import { RANGES, type ConfigFields } from './config-fields.ts'
import { readVector } from './tensor-vector.ts'

const SUPPORTED = 'default, linear, llama3, yarn and longrope'

interface RopeDefaults {
  readonly theta: number
  readonly headDim: number
  readonly contextLength: number
}

/** From GGUF metadata. Llama 3 keeps its per-frequency factors in `rope_freqs.weight`, Phi-3 in two `rope_factors_*` tensors. */
export async function readGgufRope(fields: ConfigFields, tensors: TensorFile, defaults: RopeDefaults): Promise<RopeConfig> {
  const rotaryDim = fields.integerOr('.rope.dimension_count', RANGES.headDim, defaults.headDim)
  checkRotaryDim(fields, '.rope.dimension_count', rotaryDim, defaults.headDim)
  const theta = fields.numberOr('.rope.freq_base', RANGES.theta, defaults.theta)
  const scaling = await readGgufScaling(fields, tensors, { ...defaults, rotaryDim })
  return { theta, localTheta: null, rotaryDim, scaling }
}

async function readGgufScaling(fields: ConfigFields, tensors: TensorFile, shape: RopeDefaults & { readonly rotaryDim: number }): Promise<RopeScaling> {
  const factor = fields.numberOr('.rope.scaling.factor', { min: 0, max: RANGES.ropeFactor.max }, 0)
  const type = fields.textOr('.rope.scaling.type', factor > 1 ? 'linear' : 'none')
  const originalContextLength = fields.integerOr('.rope.scaling.original_context_length', RANGES.contextLength, shape.contextLength)
  const attentionFactor = fields.numberOr('.rope.scaling.attn_factor', RANGES.positive, 1)
  const factors = await readGgufFactors(tensors, shape.rotaryDim / 2)
  if (factors !== null) {
    if (type !== 'none' && type !== 'longrope') throw fields.unsupported('.rope.scaling.type', `is ${type} beside factor tensors; one of both is supported`)
    return { kind: 'factors', ...factors, originalContextLength, attentionFactor }
  }
  if (attentionFactor !== 1 && type !== 'yarn') {
    throw fields.unsupported('.rope.scaling.attn_factor', `is ${attentionFactor}, supported with yarn and factor tensors only`)
  }
  switch (type) {
    case 'none':
      return { kind: 'none' }
    case 'linear':
      return factor === 0 || factor === 1 ? { kind: 'none' } : { kind: 'linear', factor: fields.number('.rope.scaling.factor', RANGES.ropeFactor) }
    case 'yarn': {
      const yarnFactor = fields.number('.rope.scaling.factor', RANGES.ropeFactor)
      return {
        kind: 'yarn',
        factor: yarnFactor,
        originalContextLength,
        betaFast: fields.numberOr('.rope.scaling.yarn_beta_fast', RANGES.positive, 32),
        betaSlow: fields.numberOr('.rope.scaling.yarn_beta_slow', RANGES.positive, 1),
        attentionFactor: attentionFactor * yarnMagnitude(yarnFactor, 1),
      }
    }
    default:
      throw fields.unsupported('.rope.scaling.type', `is ${JSON.stringify(type)}, supported are none, linear, yarn and factor tensors`)
  }
}

/** One table for every context length, or a pair of them. */
async function readGgufFactors(tensors: TensorFile, length: number): Promise<{ readonly short: readonly number[]; readonly long: readonly number[] } | null> {
  const expected = { length, range: RANGES.ropeFactor }
  const [same, short, long] = ['rope_freqs.weight', 'rope_factors_short.weight', 'rope_factors_long.weight'] as const
  const has = (name: string) => tensors.tensors.has(name)
  if (has(short) || has(long)) return { short: await readVector(tensors, short, expected), long: await readVector(tensors, long, expected) }
  if (!has(same)) return null
  const factors = await readVector(tensors, same, expected)
  return { short: factors, long: factors }
}

/** From config.json. */
export function readHuggingFaceRope(fields: ConfigFields, defaults: RopeDefaults): RopeConfig {
  const scalingFields = fields.sectionOr('rope_parameters', null) ?? fields.sectionOr('rope_scaling', null)
  const inFields = (key: string) => (scalingFields?.has(key) ? scalingFields : fields)
  const theta = inFields('rope_theta').numberOr('rope_theta', RANGES.theta, defaults.theta)
  const partial = inFields('partial_rotary_factor').numberOr('partial_rotary_factor', RANGES.partial, 1)
  const rotaryDim = Math.trunc(defaults.headDim * partial)
  checkRotaryDim(fields, partial === 1 ? 'head_dim' : 'partial_rotary_factor', rotaryDim, defaults.headDim)
  const scaling = scalingFields === null ? ({ kind: 'none' } as const) : readHuggingFaceScaling(scalingFields, fields, { ...defaults, rotaryDim })
  return { theta, localTheta: null, rotaryDim, scaling }
}

/** Reads one scaling object: a flat `rope_parameters`, one of its layer types, or the older `rope_scaling`. */
export function readHuggingFaceScaling(scaling: ConfigFields, fields: ConfigFields, shape: RopeDefaults & { readonly rotaryDim: number }): RopeScaling {
  const key = scaling.has('rope_type') ? 'rope_type' : 'type'
  const type = scaling.textOr(key, 'default')
  const original = fields.has('original_max_position_embeddings') ? fields : scaling
  const originalContextLength = original.integerOr('original_max_position_embeddings', RANGES.contextLength, shape.contextLength)
  switch (type) {
    case 'default':
      return { kind: 'none' }
    case 'linear':
      return { kind: 'linear', factor: scaling.number('factor', RANGES.ropeFactor) }
    case 'llama3':
      return readLlama3(scaling, originalContextLength)
    case 'yarn':
      return readYarn(scaling, shape.contextLength, originalContextLength)
    case 'longrope':
    case 'su':
      return readLongRope(scaling, shape, originalContextLength)
    default:
      throw scaling.unsupported(key, `is ${JSON.stringify(type)}, supported are ${SUPPORTED}`)
  }
}

function readLlama3(scaling: ConfigFields, originalContextLength: number): RopeScaling {
  const lowFrequencyFactor = scaling.number('low_freq_factor', RANGES.positive)
  const highFrequencyFactor = scaling.number('high_freq_factor', RANGES.positive)
  if (highFrequencyFactor <= lowFrequencyFactor) {
    throw scaling.fault('high_freq_factor', `is ${highFrequencyFactor}, must be above low_freq_factor ${lowFrequencyFactor}`)
  }
  return { kind: 'llama3', factor: scaling.number('factor', RANGES.ropeFactor), lowFrequencyFactor, highFrequencyFactor, originalContextLength }
}

function readYarn(scaling: ConfigFields, contextLength: number, originalContextLength: number): RopeScaling {
  if (!scaling.booleanOr('truncate', true)) throw scaling.unsupported('truncate', 'is false, only true is supported')
  const factor = scaling.numberOr('factor', RANGES.ropeFactor, contextLength / originalContextLength)
  const mscale = scaling.numberOr('mscale', { min: 0, max: 100 }, 0)
  const mscaleAllDim = scaling.numberOr('mscale_all_dim', { min: 0, max: 100 }, 0)
  const derived = mscale > 0 && mscaleAllDim > 0 ? yarnMagnitude(factor, mscale) / yarnMagnitude(factor, mscaleAllDim) : yarnMagnitude(factor, 1)
  return {
    kind: 'yarn',
    factor,
    originalContextLength,
    betaFast: scaling.numberOr('beta_fast', RANGES.positive, 32),
    betaSlow: scaling.numberOr('beta_slow', RANGES.positive, 1),
    attentionFactor: scaling.numberOr('attention_factor', RANGES.positive, derived),
  }
}

function readLongRope(scaling: ConfigFields, shape: RopeDefaults & { readonly rotaryDim: number }, originalContextLength: number): RopeScaling {
  const factor = scaling.numberOr('factor', RANGES.ropeFactor, shape.contextLength / originalContextLength)
  const derived = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContextLength))
  return {
    kind: 'factors',
    short: factorList(scaling, 'short_factor', shape.rotaryDim / 2),
    long: factorList(scaling, 'long_factor', shape.rotaryDim / 2),
    originalContextLength,
    attentionFactor: scaling.numberOr('attention_factor', RANGES.positive, derived),
  }
}

function factorList(scaling: ConfigFields, key: string, length: number): readonly number[] {
  const factors = scaling.numbers(key)
  if (factors.length !== length) throw scaling.fault(key, `has ${factors.length} factors, ${length} expected (half of the rotated dimensions)`)
  const { min, max } = RANGES.ropeFactor
  const bad = factors.find((factor) => factor < min || factor > max)
  if (bad !== undefined) throw scaling.fault(key, `has the factor ${bad}, allowed are ${min} to ${max}`)
  return factors
}

/** The context that scaling stretches a model to: files that switch YaRN on keep stating the context that it was trained with. */
export function stretchedContextLength(contextLength: number, { scaling }: RopeConfig): number {
  if (scaling.kind !== 'yarn') return contextLength
  const stretched = Math.min(Math.trunc(scaling.factor * scaling.originalContextLength), RANGES.contextLength.max)
  return Math.max(contextLength, stretched)
}

/** YaRN's temperature, equation 22 of the paper. */
function yarnMagnitude(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1
}

function checkRotaryDim(fields: ConfigFields, key: string, rotaryDim: number, headDim: number): void {
  if (rotaryDim < 2 || rotaryDim > headDim || rotaryDim % 2 !== 0) {
    throw fields.fault(key, `rotates ${rotaryDim} dimensions, allowed are even numbers from 2 to the head size ${headDim}`)
  }
}
