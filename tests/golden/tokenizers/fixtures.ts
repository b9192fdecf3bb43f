/** Reads what make_fixtures.py wrote. */
import { readFileSync } from 'node:fs'
import type { GgufValue } from '#engine/models/architecture'
import { loadTokenizerFromFolder, loadTokenizerFromGguf } from '#engine/tokenizers/load-tokenizer'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'

const FOLDER = new URL('../../fixtures/tokenizers/', import.meta.url)

export interface Corpus {
  readonly plain: readonly string[]
  readonly special: readonly string[]
}

export function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as T
}

export function readCorpus(): Corpus {
  return readFixture<Corpus>('corpus.json')
}

export function loadJsonFixture(name: string): Tokenizer {
  return loadTokenizerFromFolder({ tokenizerJson: readFixture(`${name}.json`), tokenizerConfig: null })
}

/** The metadata of a GGUF file with this vocabulary. */
export function ggufValues(name: string, model: string, extra: readonly (readonly [string, GgufValue])[] = []): Map<string, GgufValue> {
  const fixture = readFixture<{ tokens: string[]; scores: number[]; types: number[] }>(`${name}.gguf.json`)
  return new Map<string, GgufValue>([
    ['tokenizer.ggml.model', model],
    ['tokenizer.ggml.tokens', fixture.tokens],
    ['tokenizer.ggml.scores', Float32Array.from(fixture.scores)],
    ['tokenizer.ggml.token_type', Int32Array.from(fixture.types)],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.eos_token_id', 2],
    ...extra,
  ])
}

export function loadGgufFixture(name: string, model: string): Tokenizer {
  return loadTokenizerFromGguf(ggufValues(name, model))
}
