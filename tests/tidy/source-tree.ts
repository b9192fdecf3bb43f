/** The source tree as data for the house rules: files, lines, imports, and a syntax tree where one is asked for. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'
import { parse, type Program } from 'acorn'

export const ROOT = path.resolve(import.meta.dirname, '../..')

export interface SourceFile {
  /** Relative to the root, with forward slashes: `src/engine/engine.ts`. */
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
}

/** Tracked files and new ones that git does not ignore, so that the rules hold before the commit too. */
export function projectFiles(): readonly string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--deduplicate'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  })
  const deleted = new Set(execFileSync('git', ['ls-files', '--deleted'], { cwd: ROOT, encoding: 'utf8' }).split('\n'))
  return listed.split('\n').filter((file) => file !== '' && !deleted.has(file))
}

export function readSource(file: string): SourceFile {
  const text = readFileSync(path.join(ROOT, file), 'utf8')
  return { path: file, text, lines: text.split('\n') }
}

export function sources(pattern: RegExp): readonly SourceFile[] {
  return projectFiles()
    .filter((file) => pattern.test(file))
    .map(readSource)
}

/** Product code: no tests. */
export const productSources: readonly SourceFile[] = sources(/^src\/.*\.ts$/).filter((file) => !file.path.endsWith('.test.ts'))

export interface ImportEdge {
  readonly from: string
  /** A file of ours, or a bare specifier (`node:fs`, `fastify`). */
  readonly to: string
  readonly isOurs: boolean
  readonly isTypeOnly: boolean
  readonly line: number
}

const IMPORT = /^\s*(?:import|export)\s+(type\s)?(?:[^'"]*?from\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm

export function importsOf(file: SourceFile): readonly ImportEdge[] {
  return [...file.text.matchAll(IMPORT)].map((match) => {
    const specifier = match[2] ?? match[3] ?? ''
    const line = file.text.slice(0, match.index).split('\n').length
    const isTypeOnly = match[1] !== undefined
    if (specifier.startsWith('#')) return { from: file.path, to: `src/${specifier.slice(1)}.ts`, isOurs: true, isTypeOnly, line }
    if (specifier.startsWith('.'))
      return { from: file.path, to: path.posix.join(path.posix.dirname(file.path), specifier), isOurs: true, isTypeOnly, line }
    return { from: file.path, to: specifier, isOurs: false, isTypeOnly, line }
  })
}

/** Stripping types keeps every line where it was. */
export function syntaxTree(file: SourceFile): Program {
  return parse(stripTypeScriptTypes(file.text), { ecmaVersion: 'latest', sourceType: 'module', locations: true, allowHashBang: true })
}
