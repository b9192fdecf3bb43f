/** Size and form of the code: caps that only shrink, names that pass, things that are never written. */
import { full } from 'acorn-walk'
import { expect, test } from 'vitest'
import { importsOf, productSources, projectFiles, readSource, sources, syntaxTree, type SourceFile } from './source-tree.ts'

const MAX_FILE_LINES = 300
const MAX_FUNCTION_LINES = 70
const MAX_LINE_COLUMNS = 170

/** Files over the cap, with the number that they may not pass. The list may only shrink. */
const LONG_FILES: Readonly<Record<string, number>> = {}

const nativeSources = sources(/^native\/(src|include|binding|test)\/.*\.(cpp|h|hpp)$/)
const testSources = sources(/^(src|tests|bench)\/.*\.ts$/).filter((file) => !productSources.includes(file))

function linesMatching(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap((file) => file.lines.flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1} ${line.trim()}`] : [])))
}

test('no file is longer than the cap', () => {
  const bad = [...productSources, ...nativeSources].filter((file) => file.lines.length - 1 > (LONG_FILES[file.path] ?? MAX_FILE_LINES))
  expect(bad.map((file) => `${file.path}: ${file.lines.length - 1} lines; split it by concept`)).toEqual([])
})

test('the list of long files names only files that still need it', () => {
  const byPath = new Map([...productSources, ...nativeSources].map((file) => [file.path, file.lines.length - 1]))
  expect(Object.keys(LONG_FILES).filter((path) => (byPath.get(path) ?? 0) <= MAX_FILE_LINES)).toEqual([])
})

test('no function is longer than the cap', () => {
  const bad: string[] = []
  for (const file of productSources) {
    full(syntaxTree(file), (node) => {
      if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type) || node.loc === null || node.loc === undefined) return
      const numLines = node.loc.end.line - node.loc.start.line + 1
      if (numLines > MAX_FUNCTION_LINES) bad.push(`${file.path}:${node.loc.start.line} has ${numLines} lines`)
    })
  }
  expect(bad).toEqual([])
})

test('no line is wider than the cap', () => {
  const bad = [...productSources, ...nativeSources].flatMap((file) =>
    file.lines.flatMap((line, index) => (line.length > MAX_LINE_COLUMNS ? [`${file.path}:${index + 1}`] : [])),
  )
  expect(bad).toEqual([])
})

test('there is no `any`, no ts-ignore and no bare Error', () => {
  expect(linesMatching(productSources, /^(?!\s*\*|\s*\/[/*]).*(?:[:<]\s*any\b|\bas any\b|@ts-(?:ignore|expect-error|nocheck))/)).toEqual([])
  expect(linesMatching(productSources, /throw new (Error|TypeError|RangeError)\(/)).toEqual([])
})

test('there is no default export, no barrel and no enum', () => {
  expect(linesMatching(productSources, /^export default|^export \* from|^\s*(export )?(const )?enum\s/)).toEqual([])
})

test('no room or file has a name that says nothing', () => {
  const banned = /(^|[/-])(utils?|helpers?|common|misc|shared|manager|service|processor)([/.-]|$)/
  // tokenizer.json calls that part of itself `post_processor`.
  const termsOfArt = ['src/engine/tokenizers/json-post-processor.ts']
  expect(projectFiles().filter((file) => /^(src|native|tests|bench)\//.test(file) && banned.test(file) && !termsOfArt.includes(file))).toEqual([])
})

test('files are named in kebab-case', () => {
  expect(productSources.map((file) => file.path).filter((file) => !/^src(\/[a-z0-9-]+)+(\.test)?\.ts$/.test(file))).toEqual([])
})

test('nothing is left for later and no test is switched off', () => {
  const mark = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'not ' + 'implemented'].join('|'))
  expect(linesMatching([...productSources, ...nativeSources, ...testSources], mark)).toEqual([])
  expect(linesMatching(testSources, new RegExp('\\b(test|it|describe)\\.(ski' + 'p|on' + 'ly|to' + 'do)\\b'))).toEqual([])
})

test('every product file begins by saying what it is', () => {
  const bad = productSources.filter((file) => !/^(#!.*\n)?\/(\*\*|\/)/.test(file.text) && !file.text.slice(0, 600).includes('/**'))
  expect(bad.map((file) => file.path)).toEqual([])
})

test('every product file is reached from an entry point', () => {
  const entries = [
    'src/main.ts',
    'src/platform/replicas/worker-main.ts',
    'src/engine/structured-output/compile-thread.ts',
    'src/engine-library.ts',
    'src/config/reference-page.ts',
    'src/config/platform-file-page.ts',
    'src/platform/store/store-thread.ts',
  ]
  const reached = new Set<string>()
  const visit = (file: string): void => {
    if (reached.has(file)) return
    reached.add(file)
    const source = productSources.find((candidate) => candidate.path === file)
    for (const edge of source === undefined ? [] : importsOf(source)) if (edge.isOurs) visit(edge.to)
    // Entries of threads and workers are named by URL, not imported.
    for (const match of source?.text.matchAll(/new URL\('\.\/([\w-]+)\.ts'/g) ?? []) visit(`${file.slice(0, file.lastIndexOf('/'))}/${match[1]}.ts`)
  }
  entries.forEach(visit)
  const testOnly = /^src\/(base\/fake-clock|engine\/kernels\/null\/)/
  expect(productSources.map((file) => file.path).filter((file) => !reached.has(file) && !testOnly.test(file))).toEqual([])
})

test('every exported value is used by another file', () => {
  const everything = [...productSources, ...testSources, ...sources(/^(scripts|bench)\/.*\.(ts|mjs)$/)]
  const doors = /^src\/(engine\/engine|contract\/)/
  const bad: string[] = []
  for (const file of productSources.filter((candidate) => !doors.test(candidate.path))) {
    for (const match of file.text.matchAll(/^export (?:async )?(?:const|function\*?|class) (\w+)/gm)) {
      const word = new RegExp(`\\b${match[1]}\\b`)
      if (!everything.some((other) => other.path !== file.path && word.test(other.text))) bad.push(`${file.path}: ${match[1]} needs no export`)
    }
  }
  expect(bad).toEqual([])
})

test('no two tests of a file have the same name', () => {
  const bad = testSources.flatMap((file) => {
    const names = [...file.text.matchAll(/^\s*(?:test|it)\(\s*(['"`])((?:(?!\1).)*)\1/gm)].map((match) => match[2] ?? '')
    return names.filter((name, index) => !name.includes('${') && names.indexOf(name) !== index).map((name) => `${file.path}: ${name}`)
  })
  expect(bad).toEqual([])
})

test('no file in the repository is larger than 1 MiB, shipped models excepted', () => {
  const bad = projectFiles().filter((file) => !file.startsWith('models/') && file !== 'package-lock.json' && readSource(file).text.length > 1 << 20)
  expect(bad).toEqual([])
})
