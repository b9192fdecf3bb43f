/** What is in a model file, as a plain record: for `inferd inspect` and for people who compare files. Reads headers only. */
import type { GgufValue } from '#engine/models/architecture'
import type { DType } from '#engine/tensor/dtype'
import { openGguf } from './gguf/gguf-file.ts'
import { locateModel } from './model-files.ts'
import type { ModelFile } from './model-file.ts'
import { readFolderTexts } from './safetensors/folder-texts.ts'
import { openSafetensors } from './safetensors/safetensors-folder.ts'
import type { TensorFile } from './tensor-file.ts'

export interface ModelInspection {
  readonly format: 'gguf' | 'safetensors'
  /** GGUF version; null for safetensors. */
  readonly version: number | null
  readonly architecture: string | null
  readonly files: readonly { readonly name: string; readonly byteLength: number }[]
  /** In file order. Long texts and arrays are cut. */
  readonly metadata: readonly MetadataRow[]
  /** In file order. */
  readonly tensors: readonly TensorRow[]
  readonly totals: ModelTotals
  /** Most bytes first. */
  readonly dtypes: readonly DTypeRow[]
}

interface ModelTotals {
  readonly numTensors: number
  readonly parameters: number
  readonly tensorBytes: number
  readonly fileBytes: number
  readonly bitsPerWeight: number
}

interface MetadataRow {
  readonly key: string
  /** `string`, `number`, `boolean`, `object` or `string[131072]`. */
  readonly kind: string
  /** One line of text. */
  readonly value: string
}

interface TensorRow {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly byteLength: number
  readonly fileName: string
}

interface DTypeRow {
  readonly dtype: DType
  readonly numTensors: number
  readonly parameters: number
  readonly byteLength: number
}

const MAX_VALUE_LENGTH = 160
const MAX_ITEMS_SHOWN = 6

/** `path` as for openModelFiles. Throws InferdError as the readers do. */
export async function inspectModelFile(path: string): Promise<ModelInspection> {
  const location = await locateModel(path)
  return location.format === 'gguf' ? inspectGguf(location.path) : inspectFolder(location.path)
}

async function inspectGguf(path: string): Promise<ModelInspection> {
  const { version, values, tensors, files } = await openGguf(path)
  try {
    const architecture = values.get('general.architecture')
    return {
      format: 'gguf',
      version,
      architecture: typeof architecture === 'string' ? architecture : null,
      metadata: [...values].map(([key, value]) => ({ key, kind: kindOf(value), value: describe(value) })),
      ...describeTensors(tensors, files),
    }
  } finally {
    await tensors.close()
  }
}

async function inspectFolder(folder: string): Promise<ModelInspection> {
  const { config } = await readFolderTexts(folder)
  const { tensors, files } = await openSafetensors(folder)
  try {
    const architectures = config['architectures']
    const architecture: unknown = Array.isArray(architectures) ? architectures[0] : null
    return {
      format: 'safetensors',
      version: null,
      architecture: typeof architecture === 'string' ? architecture : null,
      metadata: Object.entries(config).map(([key, value]) => ({ key, kind: jsonKindOf(value), value: cut(JSON.stringify(value)) })),
      ...describeTensors(tensors, files),
    }
  } finally {
    await tensors.close()
  }
}

function describeTensors(file: TensorFile, files: readonly ModelFile[]): Pick<ModelInspection, 'files' | 'tensors' | 'totals' | 'dtypes'> {
  const tensors = [...file.tensors.values()]
  const parametersOf = (shape: readonly number[]): number => shape.reduce((product, dimension) => product * dimension, 1)
  const byDType = new Map<DType, { numTensors: number; parameters: number; byteLength: number }>()
  for (const tensor of tensors) {
    const row = byDType.get(tensor.dtype) ?? { numTensors: 0, parameters: 0, byteLength: 0 }
    row.numTensors++
    row.parameters += parametersOf(tensor.shape)
    row.byteLength += tensor.byteLength
    byDType.set(tensor.dtype, row)
  }
  const dtypes = [...byDType].map(([dtype, row]) => ({ dtype, ...row })).toSorted((a, b) => b.byteLength - a.byteLength)
  const parameters = dtypes.reduce((sum, row) => sum + row.parameters, 0)
  const tensorBytes = dtypes.reduce((sum, row) => sum + row.byteLength, 0)
  const fileBytes = files.reduce((sum, one) => sum + one.byteLength, 0)
  return {
    files: files.map(({ name, byteLength }) => ({ name, byteLength })),
    tensors: tensors.map(({ name, dtype, shape, byteLength, fileIndex }) => ({ name, dtype, shape, byteLength, fileName: files[fileIndex]!.name })),
    totals: { numTensors: tensors.length, parameters, tensorBytes, fileBytes, bitsPerWeight: parameters === 0 ? 0 : (tensorBytes * 8) / parameters },
    dtypes,
  }
}

function kindOf(value: GgufValue): string {
  if (typeof value !== 'object') return typeof value === 'bigint' ? 'number' : typeof value
  const element = ArrayBuffer.isView(value) ? 'number' : typeof (value[0] ?? '')
  return `${element}[${value.length}]`
}

function jsonKindOf(value: unknown): string {
  return Array.isArray(value) ? `array[${value.length}]` : value === null ? 'null' : typeof value
}

function describe(value: GgufValue): string {
  if (typeof value === 'string') return cut(JSON.stringify(value.slice(0, MAX_VALUE_LENGTH + 1)))
  if (typeof value !== 'object') return String(value)
  const shown = Array.from<unknown>(value.slice(0, MAX_ITEMS_SHOWN)).map((item) => {
    return typeof item === 'string' ? JSON.stringify(item.slice(0, MAX_VALUE_LENGTH)) : String(item)
  })
  return cut(`[${shown.join(', ')}${value.length > MAX_ITEMS_SHOWN ? ', …' : ''}]`)
}

function cut(text: string): string {
  return text.length > MAX_VALUE_LENGTH ? `${text.slice(0, MAX_VALUE_LENGTH)}…` : text
}
