/** The JSON and text files of a model folder, each read whole under a size limit. */
import { basename } from 'node:path'
import { InferdError } from '#contract/errors'
import { fileExists, ModelFile } from '../model-file.ts'
import { parseBoundedJson } from './bounded-json.ts'

/** Null when there is no such file. Throws InferdError('invalid_model_file') for one that is too large, too deep or not JSON. */
export async function readJsonFile(path: string, limits: { readonly maxBytes: number; readonly maxDepth: number }): Promise<unknown> {
  const bytes = await readSmallFile(path, limits.maxBytes)
  if (bytes === null) return null
  return parseBoundedJson(bytes, { what: basename(path), maxDepth: limits.maxDepth, refuseDuplicateKeys: false })
}

/** Null when there is no such file. Throws InferdError('invalid_model_file') for one that is too large or not UTF-8. */
export async function readTextFile(path: string, maxBytes: number): Promise<string | null> {
  const bytes = await readSmallFile(path, maxBytes)
  if (bytes === null) return null
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new InferdError('invalid_model_file', `${basename(path)}: not valid UTF-8`, { cause: error })
  }
}

export async function readSmallFile(path: string, maxBytes: number): Promise<Uint8Array | null> {
  if (!(await fileExists(path))) return null
  const file = await ModelFile.open(path)
  try {
    if (file.byteLength > maxBytes) throw new InferdError('invalid_model_file', `${file.name}: ${file.byteLength} bytes, the limit is ${maxBytes}`)
    const bytes = new Uint8Array(file.byteLength)
    await file.read(bytes, 0)
    return bytes
  } finally {
    await file.close()
  }
}
