/** Makes a quantized GGUF of an unquantized one, tensor by tensor in bounded pieces, and measures what that costs in accuracy. */
import { lstat, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { InferdError } from '#contract/errors'
import type { GgufValue } from '#engine/models/architecture'
import { DTYPES, type DType } from '#engine/tensor/dtype'
import { dequantize } from '../dequantize.ts'
import { openGguf, type GgufModel } from '../gguf/gguf-file.ts'
import { writeGguf, type TensorToWrite, type TypedValue } from '../gguf/gguf-writer.ts'
import type { ValueTypeName } from '../gguf/gguf-types.ts'
import { locateModel } from '../model-files.ts'
import type { TensorFile, TensorInfo } from '../tensor-file.ts'
import { isEncodable, quantize } from './quantize.ts'
import { chooseDType, SCHEME_SPECS, type Scheme } from './tensor-scheme.ts'

interface QuantizeOptions {
  /** A GGUF whose tensors are f32, f16 or bf16 (any part of a split one), or a folder with exactly one such. */
  readonly sourcePath: string
  readonly targetPath: string
  readonly scheme: Scheme
  /** True: every matrix gets the scheme's base format. Default false. */
  readonly pure?: boolean
  readonly onProgress?: (report: TensorReport, tensorIndex: number, numTensors: number) => void
  readonly signal?: AbortSignal
}

interface TensorReport {
  readonly name: string
  readonly from: DType
  readonly to: DType
  readonly shape: readonly number[]
  readonly sourceBytes: number
  readonly targetBytes: number
  /** Root mean square of (stored - original), and the same over the RMS of the original (0 for a tensor of zeros). */
  readonly rmse: number
  readonly relativeRmse: number
}

interface QuantizationReport {
  readonly scheme: Scheme
  readonly tensors: readonly TensorReport[]
  readonly sourceBytes: number
  readonly targetBytes: number
}

/** Elements that are worked on at once, about: whole rows. */
const PIECE_ELEMENTS = 1024 * 1024
const SOURCE_DTYPES: readonly DType[] = ['f32', 'f16', 'bf16']
/** `general.quantization_version` of the block layouts since 2023. */
const QUANTIZATION_VERSION = 2

/**
 * Writes `targetPath` whole or not at all. Throws InferdError: `unsupported_model` for a source that is quantized already,
 * `invalid_model_file` for weights that are not finite or overflow the format, `invalid_parameter` for a target that cannot be written.
 */
export async function quantizeModel(options: QuantizeOptions): Promise<QuantizationReport> {
  const location = await locateModel(options.sourcePath)
  if (location.format !== 'gguf') {
    throw new InferdError('unsupported_model', 'only GGUF files with f32, f16 or bf16 weights can be quantized, not safetensors')
  }
  await checkTarget(options.targetPath, location.path)
  const model = await openGguf(location.path)
  try {
    const plan = planTensors(model, options)
    const reports: TensorReport[] = []
    await writeGguf(options.targetPath, {
      metadata: targetMetadata(model, options.scheme),
      tensors: plan,
      writeData: async (planned, write) => {
        const report = await encodeTensor({ tensors: model.tensors, planned, write, signal: options.signal })
        reports.push(report)
        options.onProgress?.(report, reports.length - 1, plan.length)
      },
    })
    const total = (count: (report: TensorReport) => number): number => reports.reduce((sum, report) => sum + count(report), 0)
    return { scheme: options.scheme, tensors: reports, sourceBytes: total((one) => one.sourceBytes), targetBytes: total((one) => one.targetBytes) }
  } finally {
    await model.tensors.close()
  }
}

interface PlannedTensor extends TensorToWrite {
  readonly source: TensorInfo
}

function planTensors({ values, tensors }: GgufModel, { scheme, pure = false }: QuantizeOptions): PlannedTensor[] {
  const numLayers = values.get(`${String(values.get('general.architecture'))}.block_count`)
  const hasOutputTensor = tensors.tensors.has('output.weight')
  return [...tensors.tensors.values()].map((source) => {
    if (!SOURCE_DTYPES.includes(source.dtype)) {
      throw new InferdError('unsupported_model', `tensor ${source.name} is ${source.dtype} already; quantize from an f32, f16 or bf16 file`)
    }
    const dtype = chooseDType(source.name, source.shape, { scheme, pure, hasOutputTensor, numLayers: typeof numLayers === 'number' ? numLayers : 0 })
    return { name: source.name, dtype, shape: source.shape, source }
  })
}

function targetMetadata({ values, valueTypes }: GgufModel, scheme: Scheme): Map<string, TypedValue> {
  const metadata = new Map<string, TypedValue>()
  for (const [key, value] of values) {
    if (key === 'general.alignment' || key.startsWith('split.')) continue
    metadata.set(key, typedValue(value, valueTypes.get(key)!))
  }
  metadata.set('general.quantization_version', { type: 'uint32', value: QUANTIZATION_VERSION })
  metadata.set('general.file_type', { type: 'uint32', value: SCHEME_SPECS[scheme].fileType })
  return metadata
}

function typedValue(value: GgufValue, type: ValueTypeName): TypedValue {
  if (typeof value === 'string') return { type: 'string', value }
  if (typeof value === 'boolean') return { type: 'bool', value }
  if (typeof value !== 'object') return { type: type as Exclude<ValueTypeName, 'string' | 'bool' | 'array'>, value }
  if (ArrayBuffer.isView(value)) return { type: 'numbers', value }
  // An empty list may have been of either kind: no reader can tell.
  if (typeof value[0] === 'boolean') return { type: 'bools', value: value as readonly boolean[] }
  return { type: 'strings', value: value as readonly string[] }
}

interface EncodeJob {
  readonly tensors: TensorFile
  readonly planned: PlannedTensor
  readonly write: (bytes: Uint8Array) => Promise<void>
  readonly signal: AbortSignal | undefined
}

async function encodeTensor({ tensors, planned: { name, dtype, shape, source }, write, signal }: EncodeJob): Promise<TensorReport> {
  if (!isEncodable(dtype)) throw new InferdError('unsupported_model', `tensor ${name}: ${dtype} is only read, not written`)
  const rowLength = shape.at(-1)!
  const numElements = shape.reduce((product, one) => product * one, 1)
  const pieceLength = Math.max(1, Math.floor(PIECE_ELEMENTS / rowLength)) * rowLength
  const sourceElementBytes = DTYPES[source.dtype].blockBytes
  const values = new Float32Array(Math.min(pieceLength, numElements))
  const restored = new Float32Array(values.length)
  const scratch = new Uint8Array(values.length * sourceElementBytes)
  const sums = { squares: 0, errors: 0 }
  let targetBytes = 0
  for (let start = 0; start < numElements; start += pieceLength) {
    signal?.throwIfAborted()
    const length = Math.min(pieceLength, numElements - start)
    const piece = values.subarray(0, length)
    const range = { byteStart: start * sourceElementBytes, byteLength: length * sourceElementBytes }
    dequantize(source.dtype, await tensors.readTensor(source, range, scratch), length, piece)
    const bytes = quantize(dtype, piece)
    dequantize(dtype, bytes, length, restored)
    addErrors(piece, restored, sums)
    if (!Number.isFinite(sums.squares)) throw new InferdError('invalid_model_file', `tensor ${name} holds numbers that are not finite`)
    if (!Number.isFinite(sums.errors)) throw new InferdError('invalid_model_file', `tensor ${name} holds numbers that are too large for ${dtype}`)
    targetBytes += bytes.length
    await write(bytes)
  }
  const relativeRmse = sums.squares === 0 ? 0 : Math.sqrt(sums.errors / sums.squares)
  const rmse = Math.sqrt(sums.errors / numElements)
  return { name, from: source.dtype, to: dtype, shape, sourceBytes: source.byteLength, targetBytes, rmse, relativeRmse }
}

function addErrors(values: Float32Array, restored: Float32Array, sums: { squares: number; errors: number }): void {
  let squares = 0
  let errors = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    const error = restored[i]! - value
    squares += value * value
    errors += error * error
  }
  sums.squares += squares
  sums.errors += errors
}

/** The finished file is renamed over the target: only a plain file may stand there, and never the source. */
async function checkTarget(targetPath: string, sourcePath: string): Promise<void> {
  const refuse = (reason: string): InferdError => new InferdError('invalid_parameter', `${targetPath}: ${reason}`, { param: 'target' })
  const folder = await stat(dirname(targetPath)).catch(() => null)
  if (folder === null || !folder.isDirectory()) throw refuse('its folder does not exist')
  const present = await lstat(targetPath).catch(() => null)
  if (present === null) return
  if (!present.isFile()) throw refuse('something stands there that is not a plain file')
  const source = await stat(sourcePath)
  if (source.dev === present.dev && source.ino === present.ino) throw refuse('the target is the source')
}
