import { cbor } from '@smithy/core/cbor'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { decodeCbor, encodeCbor } from './cbor.ts'

const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: 'grapheme' }),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0)),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 30 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 30 }),
  ),
})).value

test('what the client of AWS writes is read, and what is written it reads', () => {
  fc.assert(
    fc.property(values, (value) => {
      expect(decodeCbor(cbor.serialize(value))).toEqual(value)
      expect(cbor.deserialize(encodeCbor(value))).toEqual(value)
      expect(decodeCbor(encodeCbor(value))).toEqual(value)
    }),
    { seed: 4, numRuns: 200 },
  )
  expect(decodeCbor(encodeCbor({ at: new Date(1_700_000_000_500) }))).toEqual({ at: 1_700_000_000.5 })
})

test('texts and lists without a length, and short floats, are read', () => {
  // Of RFC 8949, appendix A.
  expect(decodeCbor(Buffer.from('7f657374726561646d696e67ff', 'hex'))).toBe('streaming')
  expect(decodeCbor(Buffer.from('bf61610161629f0203ffff', 'hex'))).toEqual({ a: 1, b: [2, 3] })
  expect(['f93e00', 'f90001', 'f97c00', 'f9c400', 'fa47c35000', '3863'].map((hex) => decodeCbor(Buffer.from(hex, 'hex')))).toEqual([
    1.5,
    2 ** -24,
    Infinity,
    -4,
    100_000,
    -100,
  ])
})

test.each([
  ['', /ends too soon/],
  ['9bffffffffffffffff', /too large/],
  ['9b000fffffffffffff', /ends too soon/],
  ['bf6161', /ends too soon/],
  ['a10102', /a key is no text/],
  ['44deadbeef', /it has bytes/],
  ['c249010000000000000000', /a tag that is not known/],
  ['c16161', /a time is no number/],
  ['61ff', /not UTF-8/],
  ['0101', /more after its end/],
  ['1c', /a length is not valid/],
  ['f8ff', /simple value/],
  ['81'.repeat(100), /nested too deep/],
])('%s is refused', (hex, words) => {
  expect(() => decodeCbor(Buffer.from(hex, 'hex'))).toThrow(words)
})

test('no bytes do more than be refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeCbor(bytes)
      } catch (error) {
        expect(error).toBeInstanceOf(InferdError)
      }
    }),
    { seed: 5, numRuns: 2000 },
  )
})
