/** What a Hugging Face model folder says beside its weights: configuration, tokenizer, chat template. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { InferdError } from '#contract/errors'
import { isJsonObject } from './bounded-json.ts'
import { readJsonFile, readSmallFile, readTextFile } from './json-file.ts'

const MEBIBYTE = 1024 * 1024
const MAX_DEPTH = 64
/** Vocabularies of 256k tokens with their merges stay below 40 MB. */
const MAX_TOKENIZER_BYTES = 96 * MEBIBYTE
const MAX_CONFIG_BYTES = 8 * MEBIBYTE
const MAX_TEMPLATE_BYTES = MEBIBYTE

interface FolderTexts {
  readonly config: Readonly<Record<string, unknown>>
  /** null where the folder lacks the file. */
  readonly tokenizerJson: unknown
  readonly tokenizerConfig: unknown
  readonly generationConfig: Readonly<Record<string, unknown>> | null
  readonly chatTemplate: string | null
  /** SHA-256 over the bytes of config.json and tokenizer.json. */
  readonly digest: string
}

/** Throws InferdError('invalid_model_file') when config.json is missing, or any of the files is broken or too large. */
export async function readFolderTexts(folder: string): Promise<FolderTexts> {
  const config = await readJsonFile(join(folder, 'config.json'), { maxBytes: MAX_CONFIG_BYTES, maxDepth: MAX_DEPTH })
  if (!isJsonObject(config)) throw new InferdError('invalid_model_file', 'config.json: missing or not a JSON object')
  const tokenizerJson = await readJsonFile(join(folder, 'tokenizer.json'), { maxBytes: MAX_TOKENIZER_BYTES, maxDepth: MAX_DEPTH })
  const tokenizerConfig = await readJsonFile(join(folder, 'tokenizer_config.json'), { maxBytes: 2 * MAX_CONFIG_BYTES, maxDepth: MAX_DEPTH })
  const generationConfig = await readJsonFile(join(folder, 'generation_config.json'), { maxBytes: MAX_CONFIG_BYTES, maxDepth: MAX_DEPTH })
  if (generationConfig !== null && !isJsonObject(generationConfig)) {
    throw new InferdError('invalid_model_file', 'generation_config.json: not a JSON object')
  }
  const templateFile = await readTextFile(join(folder, 'chat_template.jinja'), MAX_TEMPLATE_BYTES)
  return {
    config,
    tokenizerJson,
    tokenizerConfig,
    generationConfig,
    chatTemplate: templateFile ?? templateOfConfig(tokenizerConfig),
    digest: await digestOf([join(folder, 'config.json'), join(folder, 'tokenizer.json')]),
  }
}

/** tokenizer_config.json holds one template, or a list of named ones of which `default` counts. */
function templateOfConfig(tokenizerConfig: unknown): string | null {
  const template = isJsonObject(tokenizerConfig) ? tokenizerConfig['chat_template'] : undefined
  if (typeof template === 'string') return template
  if (!Array.isArray(template)) return null
  const named: unknown = template.find((one: unknown) => isJsonObject(one) && one['name'] === 'default')
  return isJsonObject(named) && typeof named['template'] === 'string' ? named['template'] : null
}

async function digestOf(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of paths) {
    const bytes = await readSmallFile(path, MAX_TOKENIZER_BYTES)
    hash.update(`${bytes?.length ?? -1}\n`)
    if (bytes !== null) hash.update(bytes)
  }
  return hash.digest('hex')
}
