/** JSON schemas against texts: compiled by us, judged by ajv, and written at random from the automaton. */
import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { Random } from '#base/random'
import type { JsonRecord, JsonValue } from '#contract/generate'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import { GrammarBuilder } from '#engine/grammar/grammar-builder'
import { DEFAULT_GRAMMAR_LIMITS } from '#engine/grammar/grammar-limits'
import { lowerJsonSchema, type JsonSchemaOptions } from '#engine/grammar/json-schema/lower-json-schema'
import { createReferenceVocabulary } from '#engine/grammar/reference-matcher'
import type { LoadedGrammar } from '#engine/grammar/token-matcher'

/** Each byte is a token. */
const BYTES = createReferenceVocabulary(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)))
const CLOSING = [...Buffer.from('"}]')]

export function compileSchema(schema: JsonValue, options: Partial<JsonSchemaOptions> = {}): LoadedGrammar {
  const builder = new GrammarBuilder()
  const root = builder.declare('root')
  const defaults: JsonSchemaOptions = { whitespace: 'flexible', limits: DEFAULT_GRAMMAR_LIMITS, closedObjects: true, unenforced: 'refuse' }
  builder.define(root, lowerJsonSchema(builder, schema, { ...defaults, ...options }))
  return BYTES.load(compileAutomaton(builder.build(root), DEFAULT_GRAMMAR_LIMITS))
}

export function accepts(grammar: LoadedGrammar, text: string): boolean {
  const matcher = grammar.createMatcher()
  for (const byte of Buffer.from(text)) if (!matcher.accept(byte)) return false
  return matcher.canEnd
}

export function ajvFor(schema: JsonRecord): (value: unknown) => boolean {
  const isDraft7 = String(schema['$schema'] ?? '').includes('draft-07')
  const ajv = isDraft7 ? new Ajv({ strict: false, logger: false }) : new Ajv2020({ strict: false, logger: false })
  formats.default(ajv)
  const validate = ajv.compile(schema)
  return (value) => validate(value) as boolean
}

/** A text that the grammar takes to its end, of uniformly random bytes with a leaning to close what is open; null = it went on too long. */
export function randomText(grammar: LoadedGrammar, random: Random, maxBytes: number): string | null {
  const matcher = grammar.createMatcher()
  const bytes: number[] = []
  const mask = new Uint32Array(8)
  while (bytes.length < maxBytes) {
    if (matcher.isComplete || (matcher.canEnd && random.nextInt(3) === 0)) return Buffer.from(bytes).toString()
    mask.fill(0)
    matcher.fillMask(mask)
    const allowed = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => (mask[byte >> 5]! & (1 << (byte & 31))) !== 0)
    if (allowed.length === 0) return matcher.canEnd ? Buffer.from(bytes).toString() : `dead end after ${Buffer.from(bytes).toString()}`
    const closing = allowed.filter((byte) => CLOSING.includes(byte))
    const leans = closing.length > 0 && random.nextInt(maxBytes) < 80 + bytes.length
    const from = leans ? closing : allowed
    const byte = from[random.nextInt(from.length)]!
    matcher.accept(byte)
    bytes.push(byte)
  }
  return null
}
