/**
 * Opens a Hugging Face model folder: one safetensors file, or shards named by model.safetensors.index.json. A shard name
 * is a plain file name beside the index, never a path.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { InferdError } from '#contract/errors'
import { FileTensors } from '../file-tensors.ts'
import { closeAll, openAll, type ModelFile } from '../model-file.ts'
import type { TensorFile, TensorInfo } from '../tensor-file.ts'
import { isJsonObject } from './bounded-json.ts'
import { readJsonFile } from './json-file.ts'
import { isUnreadBuffer, parseSafetensorsHeader } from './safetensors-header.ts'

const INDEX_NAME = 'model.safetensors.index.json'
const MAX_INDEX_BYTES = 64 * 1024 * 1024
const MAX_SHARDS = 10_000

interface SafetensorsWeights {
  readonly tensors: TensorFile
  readonly files: readonly ModelFile[]
  /** Bytes of each file's header, in the order of `files`. */
  readonly headerBytes: readonly number[]
}

/** The caller closes `tensors`. Throws InferdError. */
export async function openSafetensors(folder: string): Promise<SafetensorsWeights> {
  const index = await readJsonFile(join(folder, INDEX_NAME), { maxBytes: MAX_INDEX_BYTES, maxDepth: 8 })
  const weightMap = index === null ? null : readWeightMap(index)
  const names = weightMap === null ? [await singleFileName(folder)] : [...new Set(weightMap.values())].toSorted()
  const files = await openAll(names.map((name) => join(folder, name)))
  try {
    const headers = files.map((file) => parseSafetensorsHeader(file))
    const tensors = new Map<string, TensorInfo>()
    for (const [fileIndex, header] of headers.entries()) {
      for (const tensor of header.tensors) {
        if (tensors.has(tensor.name)) throw folderError(`tensor ${JSON.stringify(tensor.name)} is in two shards`)
        tensors.set(tensor.name, { ...tensor, fileIndex })
      }
    }
    if (weightMap !== null) checkIndex({ weightMap, tensors, names })
    return { tensors: new FileTensors({ format: 'safetensors', files, tensors }), files, headerBytes: headers.map((header) => header.headerBytes) }
  } catch (error) {
    await closeAll(files)
    throw error
  }
}

/** Tensor name to shard name. Throws InferdError for a name that is not a plain `*.safetensors` file name. */
function readWeightMap(index: unknown): ReadonlyMap<string, string> {
  const map = isJsonObject(index) ? index['weight_map'] : undefined
  if (!isJsonObject(map)) throw indexError('weight_map is not an object')
  const weightMap = new Map<string, string>()
  for (const [tensorName, shardName] of Object.entries(map)) {
    if (typeof shardName !== 'string' || !/^[A-Za-z0-9_][A-Za-z0-9._-]{0,200}\.safetensors$/.test(shardName)) {
      throw indexError(`weight_map names ${JSON.stringify(shardName)?.slice(0, 100)}, which is not a plain safetensors file name`)
    }
    weightMap.set(tensorName, shardName)
  }
  const numShards = new Set(weightMap.values()).size
  if (numShards === 0 || numShards > MAX_SHARDS) throw indexError(`weight_map names ${numShards} files; 1 to ${MAX_SHARDS} are allowed`)
  return weightMap
}

async function singleFileName(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).toSorted()
  if (names.includes('model.safetensors')) return 'model.safetensors'
  if (names.length === 1) return names[0]!
  if (names.length === 0) throw folderError('the folder has no safetensors file')
  throw folderError(`the folder has ${names.length} safetensors files (${names.slice(0, 4).join(', ')}) and no ${INDEX_NAME}`)
}

/** Unlisted tensors in a shard are welcome; listed ones must be where the index says. */
function checkIndex({
  weightMap,
  tensors,
  names,
}: {
  readonly weightMap: ReadonlyMap<string, string>
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly names: readonly string[]
}): void {
  for (const [tensorName, shardName] of weightMap) {
    const info = tensors.get(tensorName)
    if (info === undefined && isUnreadBuffer(tensorName)) continue
    if (info === undefined || names[info.fileIndex] !== shardName) throw indexError(`tensor ${JSON.stringify(tensorName)} is not in ${shardName}`)
  }
}

function indexError(reason: string): InferdError {
  return new InferdError('invalid_model_file', `${INDEX_NAME}: ${reason}`)
}

function folderError(reason: string): InferdError {
  return new InferdError('invalid_model_file', reason)
}
