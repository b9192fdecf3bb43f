import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { parseJsonObject } from './json-body.ts'
import { MAX_JSON_DEPTH, MAX_JSON_MEMBERS } from './json-scan.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)

test('what JSON.parse makes of an object without duplicate keys, this parser makes of it too', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 5 })), fc.nat(4), (value, indent) => {
      const text = JSON.stringify(value, null, indent)
      expect(parseJsonObject(bytes(text))).toEqual(JSON.parse(text))
    }),
    { seed: 20261122, numRuns: 300 },
  )
})

test('any bytes give an object or malformed_body, nothing else', () => {
  const pieces = fc.array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', '1', 'a', ' ', '\\u00', 'null', '\u0000', 'é'), { maxLength: 30 })
  fc.assert(
    fc.property(pieces, (parts) => {
      try {
        parseJsonObject(bytes(`{${parts.join('')}`))
      } catch (error) {
        expect(error).toMatchObject({ code: 'malformed_body' })
        expect(error).toBeInstanceOf(InferdError)
      }
    }),
    { seed: 20261122, numRuns: 2000 },
  )
})

test('depth 64 passes and depth 65 does not', () => {
  const nested = (depth: number): Uint8Array => bytes(`{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`)
  expect(Object.keys(parseJsonObject(nested(MAX_JSON_DEPTH)))).toEqual(['a'])
  expect(() => parseJsonObject(nested(MAX_JSON_DEPTH + 1))).toThrow('nested deeper than 64 levels')
})

test('more keys, objects and arrays than one body may have are refused', () => {
  const keys = (count: number): Uint8Array => bytes(`{${Array.from({ length: count }, (_, index) => `"${index}":1`).join(',')}}`)
  expect(Object.keys(parseJsonObject(keys(MAX_JSON_MEMBERS - 1)))).toHaveLength(MAX_JSON_MEMBERS - 1)
  expect(() => parseJsonObject(keys(MAX_JSON_MEMBERS))).toThrow('more than 65536 keys, objects and arrays')
  expect(() => parseJsonObject(bytes(`{"a":[${'[],'.repeat(MAX_JSON_MEMBERS)}1]}`))).toThrow('more than 65536 keys, objects and arrays')
})

test('brackets, quotes and colons inside strings count for nothing', () => {
  expect(parseJsonObject(bytes('{"a":"[[{\\"a\\":","b\\\\":{"a":"a"}}'))).toEqual({ a: '[[{"a":', 'b\\': { a: 'a' } })
})

test('equal keys in different objects and equal values are no duplicates', () => {
  expect(parseJsonObject(bytes('{"a":{"a":"a"},"b":["a","a",{"a":1}]}'))).toEqual({ a: { a: 'a' }, b: ['a', 'a', { a: 1 }] })
})

test('__proto__ is an own key and changes no prototype', () => {
  const body = parseJsonObject(bytes('{"__proto__":{"polluted":true}}'))
  expect(Object.hasOwn(body, '__proto__')).toBe(true)
  expect(Object.getPrototypeOf(body)).toBe(Object.prototype)
  expect(body['polluted']).toBe(undefined)
})
