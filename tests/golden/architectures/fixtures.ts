/**
 * The fixtures that tests/fixtures/architectures/make-fixtures.py made: model paths, token ids and the reference's logits.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const FIXTURE_FOLDER = join(import.meta.dirname, '../../fixtures/architectures')

export interface LogitsCase {
  readonly servedContextLength: number
  readonly tokens: readonly number[]
  /** f32 (tokens.length, vocabSize). */
  readonly logits: Float32Array
}

export interface Fixture {
  readonly name: string
  readonly vocabSize: number
  readonly models: readonly { readonly format: string; readonly path: string }[]
  readonly cases: readonly LogitsCase[]
}

interface ExpectedJson {
  readonly formats: readonly string[]
  readonly vocabSize: number
  readonly tokens: readonly number[]
  readonly cases: readonly { readonly servedContextLength: number; readonly numTokens: number }[]
}

export function readFixtures(): readonly Fixture[] {
  return readdirSync(FIXTURE_FOLDER)
    .filter((name) => existsSync(join(FIXTURE_FOLDER, name, 'expected.json')))
    .toSorted()
    .map(readFixture)
}

function readFixture(name: string): Fixture {
  const folder = join(FIXTURE_FOLDER, name)
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as ExpectedJson
  const all = new Float32Array(Uint8Array.from(readFileSync(join(folder, 'logits.f32'))).buffer)
  let offset = 0
  const cases = expected.cases.map(({ servedContextLength, numTokens }) => {
    const start = offset
    offset += numTokens * expected.vocabSize
    return { servedContextLength, tokens: expected.tokens.slice(0, numTokens), logits: all.subarray(start, offset) }
  })
  const models = expected.formats.map((format) => ({ format, path: format === 'gguf' ? `${folder}.gguf` : folder }))
  return { name, vocabSize: expected.vocabSize, models, cases }
}
