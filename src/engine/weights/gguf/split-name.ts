/** Names of the parts of a split GGUF file: `name-00001-of-00003.gguf`, as llama.cpp's gguf-split writes them. */
import { basename, dirname, join } from 'node:path'

/** `count` parts; `stem` is what stands before the numbers. */
interface SplitName {
  readonly stem: string
  readonly index: number
  readonly count: number
}

const SPLIT_PATTERN = /^(.+)-(\d{5})-of-(\d{5})\.gguf$/

/** Null for a path that does not name a part (index 0-based); 00000 and parts beyond the count do not. */
export function parseSplitName(path: string): SplitName | null {
  const match = SPLIT_PATTERN.exec(basename(path))
  if (match === null) return null
  const index = Number(match[2]) - 1
  const count = Number(match[3])
  return index >= 0 && index < count ? { stem: match[1]!, index, count } : null
}

/** The path of part `index` beside `path`. */
export function splitPath(path: string, { stem, count }: SplitName, index: number): string {
  return join(dirname(path), `${stem}-${fiveDigits(index + 1)}-of-${fiveDigits(count)}.gguf`)
}

function fiveDigits(value: number): string {
  return String(value).padStart(5, '0')
}
