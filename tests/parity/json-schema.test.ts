/** Random schemas: the automaton takes what ajv takes, and whatever it writes is valid. */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { JsonValue } from '#contract/generate'
import { SchemaCases, sortedKeys } from './json-schema-cases.ts'
import { accepts, ajvFor, compileSchema, randomText } from './json-schema-matching.ts'
import type { LoadedGrammar } from '#engine/grammar/token-matcher'

const NUM_SCHEMAS = 300
const INSTANCES_PER_SCHEMA = 8

interface Compiled {
  readonly grammar: LoadedGrammar | null
  readonly refusal: string
}

function compiled(schema: JsonValue, closedObjects: boolean): Compiled {
  try {
    return { grammar: compileSchema(schema, { closedObjects }), refusal: '' }
  } catch (error) {
    return { grammar: null, refusal: (error as Error).message }
  }
}

function isUnsatisfiable(refusal: string): boolean {
  return refusal.includes('no value satisfies') || refusal.includes('matches no text')
}

test('the automaton of a random schema takes a value exactly when ajv does', () => {
  const random = new SeededRandom(20_261_122)
  const cases = new SchemaCases(random)
  const wrong: unknown[] = []
  const refusals: string[] = []
  let numPairs = 0
  for (let index = 0; index < NUM_SCHEMAS; index++) {
    const schema = cases.next()
    const { grammar, refusal } = compiled(schema, false)
    if (grammar === null && !isUnsatisfiable(refusal)) {
      refusals.push(refusal)
      continue
    }
    const isValid = ajvFor(schema)
    let value: JsonValue = null
    for (let instance = 0; instance < INSTANCES_PER_SCHEMA; instance++) {
      value = sortedKeys(instance % 2 === 0 ? cases.value(schema, schema) : cases.mutated(value))
      const text = JSON.stringify(value, null, instance % 3)
      numPairs++
      const expected = isValid(value)
      if ((grammar !== null && accepts(grammar, text)) !== expected) wrong.push({ schema: JSON.stringify(schema), text, expected, refusal })
    }
  }
  expect(wrong).toEqual([])
  expect([...new Set(refusals)]).toEqual([])
  expect(numPairs).toBeGreaterThan(2_000)
})

test('whatever the automaton of a random schema writes is valid', () => {
  const random = new SeededRandom(7)
  const cases = new SchemaCases(random)
  const wrong: unknown[] = []
  let numTexts = 0
  for (let index = 0; index < NUM_SCHEMAS; index++) {
    const schema = cases.next()
    const { grammar } = compiled(schema, index % 2 === 0)
    if (grammar === null) continue
    const isValid = ajvFor(schema)
    for (let walk = 0; walk < 2; walk++) {
      const text = randomText(grammar, random, 400)
      if (text === null) continue
      numTexts++
      if (!parsesAnd(isValid, text)) wrong.push({ schema: JSON.stringify(schema), text })
    }
  }
  expect(wrong).toEqual([])
  expect(numTexts).toBeGreaterThan(NUM_SCHEMAS)
})

function parsesAnd(isValid: (value: unknown) => boolean, text: string): boolean {
  try {
    return isValid(JSON.parse(text))
  } catch {
    return false
  }
}
