/** Opens a GGUF model, whole or split into parts, and joins the parts' tensor tables into one. */
import type { GgufValue } from '#engine/models/architecture'
import { InferdError } from '#contract/errors'
import { FileTensors } from '../file-tensors.ts'
import { closeAll, ModelFile, openAll } from '../model-file.ts'
import type { TensorFile, TensorInfo } from '../tensor-file.ts'
import { parseGgufHeader, type GgufHeader } from './gguf-header.ts'
import type { ValueTypeName } from './gguf-types.ts'
import { parseSplitName, splitPath } from './split-name.ts'

export interface GgufModel {
  readonly version: number
  /** Metadata of the first part: the others hold only their split keys. */
  readonly values: ReadonlyMap<string, GgufValue>
  readonly valueTypes: ReadonlyMap<string, ValueTypeName>
  readonly tensors: TensorFile
  readonly files: readonly ModelFile[]
  /** Bytes of each file's header, in the order of `files`. */
  readonly headerBytes: readonly number[]
}

/** `path` is a whole file or any part of a split one. The caller closes `tensors`. Throws InferdError. */
export async function openGguf(path: string): Promise<GgufModel> {
  const split = parseSplitName(path)
  const first = await ModelFile.open(split === null ? path : splitPath(path, split, 0))
  const files = [first]
  try {
    const firstHeader = parseGgufHeader(first)
    const numParts = splitCount(first, firstHeader)
    if (numParts > 1) {
      if (split === null || split.count !== numParts) throw splitError(first, `split.count is ${numParts}, which the file's name does not say`)
      files.push(...(await openAll(Array.from({ length: numParts - 1 }, (_, i) => splitPath(path, split, i + 1)))))
    }
    const headers = [firstHeader, ...files.slice(1).map((file) => parseGgufHeader(file))]
    checkParts(files, headers)
    const tensors = new FileTensors({ format: 'gguf', files, tensors: joinTables(files, headers) })
    const { version, values, valueTypes } = firstHeader
    return { version, values, valueTypes, tensors, files, headerBytes: headers.map((header) => header.headerBytes) }
  } catch (error) {
    await closeAll(files)
    throw error
  }
}

function splitCount(file: ModelFile, { values }: GgufHeader): number {
  const count = values.get('split.count') ?? 0
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > 99_999) {
    throw splitError(file, 'split.count is not a number of parts')
  }
  return Math.max(1, count)
}

function checkParts(files: readonly ModelFile[], headers: readonly GgufHeader[]): void {
  if (headers.length === 1) return
  const numTensors = headers.reduce((sum, header) => sum + header.tensors.length, 0)
  for (const [index, { values }] of headers.entries()) {
    const file = files[index]!
    if (values.get('split.no') !== index) throw splitError(file, `split.no is ${String(values.get('split.no'))} in part ${index}`)
    const count = values.get('split.count')
    if (count !== headers.length) throw splitError(file, `split.count is ${String(count)}, the first part says ${headers.length}`)
    const promised = values.get('split.tensors.count') ?? numTensors
    if (promised !== numTensors) throw splitError(file, `split.tensors.count is ${String(promised)}, the parts hold ${numTensors}`)
  }
}

function joinTables(files: readonly ModelFile[], headers: readonly GgufHeader[]): Map<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>()
  for (const [fileIndex, header] of headers.entries()) {
    for (const tensor of header.tensors) {
      if (tensors.has(tensor.name)) throw splitError(files[fileIndex]!, `tensor "${tensor.name}" is also in an earlier part`)
      tensors.set(tensor.name, { ...tensor, fileIndex })
    }
  }
  return tensors
}

function splitError(file: ModelFile, reason: string): InferdError {
  return new InferdError('invalid_model_file', `${file.name}: ${reason}`)
}
