/**
 * The door of this room: a path becomes an open model. A path is a .gguf file (whole, or any part of a split one), a folder with
 * safetensors (or its safetensors file, where GGUF models lie beside it), or a folder with exactly one GGUF model. Whatever has a
 * `.sha256` beside it is verified first.
 */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { InferdError } from '#contract/errors'
import type { GgufValue, ModelMetadata } from '#engine/models/architecture'
import { modelIdentity, verifyChecksums } from './checksum.ts'
import { openGguf } from './gguf/gguf-file.ts'
import { parseSplitName } from './gguf/split-name.ts'
import { systemCode } from './model-file.ts'
import { readFolderTexts } from './safetensors/folder-texts.ts'
import { openSafetensors } from './safetensors/safetensors-folder.ts'
import type { TensorFile } from './tensor-file.ts'

type TokenizerSource =
  | { readonly kind: 'gguf'; readonly values: ReadonlyMap<string, GgufValue> }
  /** Parsed JSON, unchecked; null where the folder lacks the file. */
  | { readonly kind: 'folder'; readonly tokenizerJson: unknown; readonly tokenizerConfig: unknown }

export interface ModelFiles {
  readonly tensors: TensorFile
  readonly metadata: ModelMetadata
  readonly tokenizerSource: TokenizerSource
  /** Jinja source of the model's default chat template. */
  readonly chatTemplate: string | null
  readonly generationConfig: Readonly<Record<string, unknown>> | null
  /** Hexadecimal digest that names the model's content for caches. */
  readonly identity: string
}

const MAX_CANDIDATES_NAMED = 8

/**
 * Opens and checks a model; the caller closes `tensors`. Throws InferdError: `invalid_model_file` (damage, ambiguity, digest),
 * `unsupported_model` (types and versions that we do not run).
 */
export async function openModelFiles(path: string, signal?: AbortSignal): Promise<ModelFiles> {
  const location = await locateModel(path)
  return location.format === 'gguf' ? openGgufModel(location.path, signal) : openFolderModel(location.path, signal)
}

interface ModelLocation {
  readonly format: 'gguf' | 'safetensors'
  /** The file to open for gguf, the folder for safetensors. */
  readonly path: string
}

/** Decides what `path` holds. Throws InferdError('invalid_model_file') that names the candidates when it is not one model. */
export async function locateModel(path: string): Promise<ModelLocation> {
  const names = await folderNames(path)
  if (names === null) return isSafetensors(path) ? { format: 'safetensors', path: dirname(path) } : { format: 'gguf', path }
  const ggufNames = names.filter((name) => name.endsWith('.gguf')).filter((name) => (parseSplitName(name)?.index ?? 0) === 0)
  const hasSafetensors = names.some(isSafetensors)
  if (hasSafetensors && ggufNames.length === 0) return { format: 'safetensors', path }
  if (ggufNames.length === 1 && !hasSafetensors) return { format: 'gguf', path: join(path, ggufNames[0]!) }
  throw new InferdError('invalid_model_file', `${basename(path)}: ${describeCandidates(ggufNames, hasSafetensors)}`)
}

function isSafetensors(name: string): boolean {
  return name.endsWith('.safetensors') || name.endsWith('.safetensors.index.json')
}

function describeCandidates(ggufNames: readonly string[], hasSafetensors: boolean): string {
  const candidates = hasSafetensors ? [...ggufNames, 'model.safetensors'] : ggufNames
  if (candidates.length === 0) return 'the folder holds neither a .gguf file nor safetensors'
  const named = candidates.slice(0, MAX_CANDIDATES_NAMED).join(', ')
  const rest = candidates.length > MAX_CANDIDATES_NAMED ? ` and ${candidates.length - MAX_CANDIDATES_NAMED} more` : ''
  return `the folder holds several models; give the path of one: ${named}${rest}`
}

/** Sorted names of a folder's entries, or null when `path` is not a folder. */
async function folderNames(path: string): Promise<string[] | null> {
  try {
    const kind = await stat(path)
    return kind.isDirectory() ? (await readdir(path)).toSorted() : null
  } catch (error) {
    throw new InferdError('invalid_model_file', `${basename(path)}: cannot be opened (${systemCode(error)})`, { cause: error })
  }
}

async function openGgufModel(path: string, signal: AbortSignal | undefined): Promise<ModelFiles> {
  const { values, tensors, files, headerBytes } = await openGguf(path)
  try {
    if (typeof values.get('general.architecture') !== 'string') {
      throw new InferdError('invalid_model_file', `${files[0]!.name}: metadata "general.architecture" is missing or not a string`)
    }
    const template = values.get('tokenizer.chat_template')
    await verifyChecksums(files, signal)
    return {
      tensors,
      metadata: { format: 'gguf', values },
      tokenizerSource: { kind: 'gguf', values },
      chatTemplate: typeof template === 'string' ? template : null,
      generationConfig: null,
      identity: modelIdentity({ files, headerBytes, extraText: '' }),
    }
  } catch (error) {
    await tensors.close()
    throw error
  }
}

async function openFolderModel(folder: string, signal: AbortSignal | undefined): Promise<ModelFiles> {
  const texts = await readFolderTexts(folder)
  const { tensors, files, headerBytes } = await openSafetensors(folder)
  try {
    await verifyChecksums(files, signal)
    return {
      tensors,
      metadata: { format: 'safetensors', config: texts.config },
      tokenizerSource: { kind: 'folder', tokenizerJson: texts.tokenizerJson, tokenizerConfig: texts.tokenizerConfig },
      chatTemplate: texts.chatTemplate,
      generationConfig: texts.generationConfig,
      identity: modelIdentity({ files, headerBytes, extraText: texts.digest }),
    }
  } catch (error) {
    await tensors.close()
    throw error
  }
}
