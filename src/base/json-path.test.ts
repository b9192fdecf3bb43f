import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseJsonPath, selectPath } from './json-path.ts'

const VALUE = { id: 7, features: [1, 2, 3, 4], 'a b': { c: null }, list: [{ x: 1 }, { x: 2 }], __proto__x: 1 }

function select(text: string, value: unknown = VALUE): unknown {
  const path = parseJsonPath(text)
  return path === null ? 'no path' : selectPath(value, path)
}

test.each([
  ['$', VALUE],
  ['$.id', 7],
  ["$['id']", 7],
  ['$["a b"].c', null],
  ["$['id','a b']", { id: 7, 'a b': { c: null } }],
  ["$.list[0].['x']", 1],
  ['$.features[0]', 1],
  ['$.features[-1]', 4],
  ['$.features[1:]', [2, 3, 4]],
  ['$.features[:-1]', [1, 2, 3]],
  ['$.features[1:3]', [2, 3]],
  ['$.features[0,2:]', [1, 3, 4]],
  ['$.features[9:]', []],
  ['$.features[*]', [1, 2, 3, 4]],
  ['$.list[*].x', [1, 2]],
  ['$.list.*.x', [1, 2]],
  ["$['a b'].*", [null]],
] as const)('%s selects', (text, expected) => {
  expect(select(text)).toEqual(expected)
})

test.each([
  '$.none',
  '$.id.x',
  '$.features[4]',
  '$.features[-5]',
  "$['id','none']",
  '$.features[0,9]',
  '$[0]',
  '$.list[*].y',
  '$.toString',
  '$.features.length',
])('%s names what is not there', (text) => {
  expect(select(text)).toBeUndefined()
})

test.each([
  '',
  'id',
  '$$',
  '$.',
  '$..id',
  '$[',
  '$[]',
  '$[?(@.x)]',
  '$[0:2:1]',
  "$['a','b'].c",
  '$[a]',
  '$.a b',
  '$[-]',
  '$.features.length()',
  "$['a",
])('%s is no path', (text) => {
  expect(parseJsonPath(text)).toBeNull()
})

test('indexes and slices select what an array has there', () => {
  const bound = fc.option(fc.integer({ min: -6, max: 6 }))
  fc.assert(
    fc.property(fc.array(fc.integer(), { maxLength: 6 }), bound, bound, (list, start, end) => {
      expect(select(`$[${start ?? ''}:${end ?? ''}]`, list)).toEqual(list.slice(start ?? 0, end ?? list.length))
      if (start !== null) expect(select(`$[${start}]`, list)).toBe(list.at(start))
    }),
    { seed: 3, numRuns: 200 },
  )
})

test('no text of any kind throws', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('$', '.', '[', ']', "'", ',', ':', '-', '*', '1', 'a', '\\'), maxLength: 63 }), (text) => {
      select(`$${text}`)
    }),
    { seed: 4, numRuns: 2000 },
  )
})
