/** What the official JSON Schema test suite has caught: texts that the schema refuses were let through. */
import { expect, test } from 'vitest'
import type { JsonValue } from '#contract/generate'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import { GrammarBuilder } from '#engine/grammar/grammar-builder'
import { DEFAULT_GRAMMAR_LIMITS } from '#engine/grammar/grammar-limits'
import { createReferenceVocabulary } from '#engine/grammar/reference-matcher'
import { lowerJsonSchema } from './lower-json-schema.ts'

const BYTES = createReferenceVocabulary(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)))

function accepts(schema: JsonValue, ...values: readonly JsonValue[]): boolean[] {
  const builder = new GrammarBuilder()
  const root = builder.declare('root')
  builder.define(
    root,
    lowerJsonSchema(builder, schema, { whitespace: 'none', limits: DEFAULT_GRAMMAR_LIMITS, closedObjects: false, unenforced: 'refuse' }),
  )
  const grammar = BYTES.load(compileAutomaton(builder.build(root), DEFAULT_GRAMMAR_LIMITS))
  return values.map((value) => {
    const matcher = grammar.createMatcher()
    return [...Buffer.from(JSON.stringify(value))].every((byte) => matcher.accept(byte)) && matcher.canEnd
  })
}

test('a duration leaves no unit out between two others', () => {
  expect(accepts({ format: 'duration', type: 'string' }, 'P1Y2D', 'PT1H2S', 'P1Y2M3D', 'P1Y2M', 'PT1H2M3S', 'P1M2DT3M', 'P4W')).toEqual([
    false,
    false,
    true,
    true,
    true,
    true,
    true,
  ])
})

test('a host name has no label that only punycode could fill', () => {
  expect(accepts({ format: 'hostname', type: 'string' }, 'xn--X', 'xn--hello-txk', 'my-host.example', 'a')).toEqual([false, false, true, true])
  expect(accepts({ format: 'email', type: 'string' }, 'a@xn--X.org', 'a@b-c.org')).toEqual([false, true])
})

test('in draft 7 an $id beside a $ref changes nothing', () => {
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: 'http://localhost/base/',
    definitions: {
      foo: { $id: 'http://localhost/base/foo.json', type: 'string' },
      other: { $id: 'http://localhost/sibling/foo.json', type: 'number' },
    },
    allOf: [{ $id: 'http://localhost/sibling/', $ref: 'foo.json' }],
  }
  expect(accepts(schema, 'a', 1)).toEqual([true, false])
})
