/** Documents tell the truth: the paths that they name exist, and generated pages equal their generator's output. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { FORMULAS } from '#bench/formulas'
import { parsePlatformFile, readPlatformFile } from '#config/platform-file'
import { deploymentFileJsonSchema, parseDeclaration } from '#config/deployment-file'
import { platformFileJsonSchema, platformFilePage } from '#config/platform-file-page'
import { configurationPage } from '#config/reference-page'
import { ERRORS } from '#contract/errors'
import { projectFiles, ROOT } from './source-tree.ts'

const DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'STYLE.md', 'GLOSSARY.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'LICENSE']

test('the house has its documents', () => {
  expect(DOCUMENTS.filter((document) => !existsSync(path.join(ROOT, document)))).toEqual([])
})

test('every path that a document names exists', () => {
  const documents = projectFiles().filter((file) => file.endsWith('.md') && !file.startsWith('docs/decisions/'))
  const bad: string[] = []
  for (const document of documents) {
    const text = readFileSync(path.join(ROOT, document), 'utf8')
    for (const match of text.matchAll(/`((?:src|native|tests|bench|docs|models|scripts|bin)\/[\w./-]*)`/g)) {
      if (!existsSync(path.join(ROOT, match[1]!))) bad.push(`${document}: ${match[1]}`)
    }
    for (const match of text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
      if (!existsSync(path.join(ROOT, path.dirname(document), match[1]!))) bad.push(`${document}: link ${match[1]}`)
    }
  }
  expect(bad).toEqual([])
})

test('the configuration page equals what the schema says', () => {
  expect(readFileSync(path.join(ROOT, 'docs/reference/configuration.md'), 'utf8')).toBe(configurationPage())
})

function readDeployment(file: string): unknown {
  return parseDeclaration(parseYaml(readFileSync(file, 'utf8')), file)
}

test('example files are platform files or the deployment file, and every yaml block of a document is a platform file', () => {
  const examples = projectFiles().filter((file) => /^examples\/.*\.yaml$/.test(file))
  expect(examples).not.toEqual([])
  for (const file of examples) {
    const read = file === 'examples/inferd.yaml' ? readDeployment : readPlatformFile
    expect(() => read(path.join(ROOT, file)), file).not.toThrow()
  }
  for (const document of projectFiles().filter((file) => file.startsWith('docs/') && file.endsWith('.md'))) {
    for (const [, block] of readFileSync(path.join(ROOT, document), 'utf8').matchAll(/^```yaml\n([^]*?)^```$/gm)) {
      expect(() => parsePlatformFile(block!, document), document).not.toThrow()
    }
  }
})

test('the page and the JSON schema of the platform file equal what the schema in use says', () => {
  expect(readFileSync(path.join(ROOT, 'docs/reference/platform-file.md'), 'utf8')).toBe(platformFilePage())
  expect(readFileSync(path.join(ROOT, 'docs/reference/platform-file.schema.json'), 'utf8')).toBe(platformFileJsonSchema())
  expect(readFileSync(path.join(ROOT, 'docs/reference/deployment-file.schema.json'), 'utf8')).toBe(deploymentFileJsonSchema())
})

test('the reference of errors lists every code', () => {
  const page = readFileSync(path.join(ROOT, 'docs/reference/errors.md'), 'utf8')
  expect(Object.keys(ERRORS).filter((code) => !page.includes(`\`${code}\``))).toEqual([])
})

test('the page of benchmarks has the formulas that reports print', () => {
  const page = readFileSync(path.join(ROOT, 'docs/reference/bench.md'), 'utf8')
  expect(FORMULAS.filter(({ name, words }) => !page.includes(`| ${name} | ${words} |`))).toEqual([])
})
