/** The models of a folder, by name: found without opening one of them. */
import { readdirSync, type Dirent } from 'node:fs'
import path from 'node:path'
import { InferdError } from '#contract/errors'
import type { ModelArgument } from './model-argument.ts'

const MAX_ENTRIES = 100_000
const LATER_PART = /-(?!00001)\d{5}-of-\d{5}\.gguf$/i
const FIRST_PART = /-00001-of-\d{5}$/
const NAME = /^[\w./:@-]{1,128}$/

/** Sorted by name. Entries whose names callers could not say are left out. Throws invalid_parameter for a folder that cannot be read. */
export function modelsOfFolder(folder: string, prefix: string): readonly ModelArgument[] {
  const models = listFolder(folder).flatMap((entry) => {
    const name = nameOf(folder, entry)
    return name === null || !NAME.test(prefix + name) ? [] : [{ name: prefix + name, path: path.resolve(folder, entry.name) }]
  })
  return models.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function listFolder(folder: string): readonly Dirent[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    if (entries.length > MAX_ENTRIES) throw refusal(folder, `has more than ${MAX_ENTRIES} entries`)
    return entries
  } catch (cause) {
    if (cause instanceof InferdError) throw cause
    throw refusal(folder, 'cannot be read')
  }
}

function nameOf(folder: string, entry: Dirent): string | null {
  if (entry.name.startsWith('.')) return null
  if (entry.isDirectory()) return holdsModel(path.join(folder, entry.name)) ? entry.name : null
  if (!/\.gguf$/i.test(entry.name) || LATER_PART.test(entry.name)) return null
  return entry.name.replace(/\.gguf$/i, '').replace(FIRST_PART, '')
}

function holdsModel(folder: string): boolean {
  try {
    return readdirSync(folder).some((name) => /\.(gguf|safetensors)$/i.test(name))
  } catch {
    return false
  }
}

function refusal(folder: string, fault: string): InferdError {
  return new InferdError('invalid_parameter', `modelFolders: ${folder} ${fault}`, { param: '--config' })
}
