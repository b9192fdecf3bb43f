/**
 * Which element format each tensor gets under a scheme. The mixes are those that GGUF users know from llama.cpp
 * (llama-quant.cpp, llama_tensor_get_type): the output layer and the sensitive half of attn_v and ffn_down get 6 bits, vectors and norms stay f32.
 */
import { DTYPES, type DType } from '#engine/tensor/dtype'

export const SCHEMES = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k_m', 'q5_k_m', 'q6_k'] as const
export type Scheme = (typeof SCHEMES)[number]

interface SchemeSpec {
  readonly base: DType
  /** Value of `general.file_type` (enum llama_ftype). */
  readonly fileType: number
}

export const SCHEME_SPECS: Readonly<Record<Scheme, SchemeSpec>> = {
  f32: { base: 'f32', fileType: 0 },
  f16: { base: 'f16', fileType: 1 },
  bf16: { base: 'bf16', fileType: 32 },
  q8_0: { base: 'q8_0', fileType: 7 },
  q4_0: { base: 'q4_0', fileType: 2 },
  q4_1: { base: 'q4_1', fileType: 3 },
  q5_0: { base: 'q5_0', fileType: 8 },
  q5_1: { base: 'q5_1', fileType: 9 },
  q4_k_m: { base: 'q4_k', fileType: 15 },
  q5_k_m: { base: 'q5_k', fileType: 17 },
  q6_k: { base: 'q6_k', fileType: 18 },
}

/** What takes the place of a format whose block does not divide the row. */
const FALLBACKS: Partial<Record<DType, DType>> = { q4_k: 'q5_0', q5_k: 'q5_1', q6_k: 'q8_0' }

export interface SchemeOptions {
  readonly scheme: Scheme
  /** True: every matrix gets the base format, whatever its role. */
  readonly pure: boolean
  /** False: token_embd is the output layer too. */
  readonly hasOutputTensor: boolean
  readonly numLayers: number
}

/** `shape` outermost first. Tensor names as in GGUF (`blk.3.attn_v.weight`). */
export function chooseDType(name: string, shape: readonly number[], options: SchemeOptions): DType {
  if (!isQuantizable(name, shape)) return 'f32'
  const wanted = options.pure ? SCHEME_SPECS[options.scheme].base : mixedDType(name, options)
  return fitToRow(wanted, shape.at(-1)!)
}

/** Matrices of weights; norms, biases, rope factors and everything else with one dimension stay f32. */
function isQuantizable(name: string, shape: readonly number[]): boolean {
  return shape.length >= 2 && name.endsWith('.weight') && !name.includes('norm') && !name.endsWith('ffn_gate_inp.weight')
}

function mixedDType(name: string, { scheme, hasOutputTensor, numLayers }: SchemeOptions): DType {
  const { base } = SCHEME_SPECS[scheme]
  if (DTYPES[base].blockSize === 1 || base === 'q8_0') return base
  if (name === (hasOutputTensor ? 'output.weight' : 'token_embd.weight')) return 'q6_k'
  if (scheme !== 'q4_k_m' && scheme !== 'q5_k_m') return base
  if (name.endsWith('.attn_qkv.weight')) return scheme === 'q4_k_m' ? 'q5_k' : 'q6_k'
  const sensitive = /^blk\.(\d+)\.(?:attn_v|ffn_down)\.weight$/.exec(name)
  return sensitive !== null && layerGetsMoreBits(Number(sensitive[1]), numLayers) ? 'q6_k' : base
}

/** The first and the last eighth of the layers, and every third between. */
function layerGetsMoreBits(layer: number, numLayers: number): boolean {
  const eighth = Math.floor(numLayers / 8)
  return layer < eighth || layer >= Math.floor((7 * numLayers) / 8) || (layer - eighth) % 3 === 2
}

function fitToRow(wanted: DType, rowLength: number): DType {
  if (rowLength % DTYPES[wanted].blockSize === 0) return wanted
  const fallback = FALLBACKS[wanted]
  return fallback !== undefined && rowLength % DTYPES[fallback].blockSize === 0 ? fallback : 'f16'
}
