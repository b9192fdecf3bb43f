import fc from 'fast-check'
import { expect, test } from 'vitest'
import { goesOn, namesOfKey, partOfNames } from './key-path.ts'
import { compareKeys, isKey, parseUri } from './object-key.ts'

const ODD = fc.constantFrom('%', '%25', '%2E', '%+', '\\', '.', '..', '.inferd', '/', '//', ' ', 'A', 'a', 'é', '😀', '\ufffd', '\ue000', '%5C', '+')
const KEY = fc
  .array(fc.oneof(ODD, fc.string({ unit: 'grapheme', maxLength: 12 }), fc.constant('x'.repeat(239)), fc.constant('é'.repeat(121))), { maxLength: 8 })
  .map((parts) => parts.join(''))
  .filter(isKey)

/** As the list of a folder puts names together. */
function keyOfNames(names: readonly string[]): string {
  const parts: (string | null)[] = []
  let pending: string[] = []
  for (const name of names) {
    pending.push(name)
    if (goesOn(name)) continue
    parts.push(partOfNames(pending))
    pending = []
  }
  expect(pending).toEqual([])
  return parts.join('/')
}

test('every key has a path of its own, which leads back to it and never out of the folder', () => {
  fc.assert(
    fc.property(KEY, (key) => {
      const names = namesOfKey(key)
      expect(keyOfNames(names)).toBe(key)
      for (const name of names) {
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(250)
        expect(['', '.', '..', '.inferd']).not.toContain(name)
        expect(name).not.toMatch(/[/\\\0]/)
      }
    }),
    { seed: 1, numRuns: 3000 },
  )
})

test('a name that no key has stands for no part', () => {
  for (const name of ['.', '..', '.inferd', '%2E', '100%', '%2e', '%41', 'a%+b', 'a\nb', 'b%2Ec', `${'x'.repeat(241)}`])
    expect(partOfNames([name])).toBeNull()
  expect(partOfNames(['ab%+', 'c'])).toBeNull()
  expect(partOfNames(['%'])).toBe('')
})

test('keys are written as the page says', () => {
  expect(namesOfKey('reports/day.csv')).toEqual(['reports', 'day.csv'])
  expect(namesOfKey('a//b/')).toEqual(['a', '%', 'b', '%'])
  expect(namesOfKey('50%\\.inferd/.inferd')).toEqual(['50%25%5C.inferd', '%2Einferd'])
  expect(namesOfKey(`${'é'.repeat(121)}/x`)).toEqual([`${'é'.repeat(120)}%+`, 'é', 'x'])
})

test('what is left of a long part leads nowhere else', () => {
  expect(namesOfKey(`${'x'.repeat(240)}../etc`)).toEqual([`${'x'.repeat(240)}%+`, '%2E.', 'etc'])
})

test('keys are in the order of their UTF-8 bytes', () => {
  const text = fc.string({
    unit: fc.oneof(fc.constantFrom('a', '/', 'é', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{1f600}'), fc.string({ maxLength: 1 })),
  })
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
    { seed: 2, numRuns: 3000 },
  )
})

test('a location is s3://bucket/key as it stands, and nothing else', () => {
  expect(parseUri('s3://bucket/in/a%20b')).toEqual({ bucketName: 'bucket', key: 'in/a%20b' })
  expect(parseUri('s3://bucket')).toEqual({ bucketName: 'bucket', key: '' })
  expect(parseUri('s3://bucket/')).toEqual({ bucketName: 'bucket', key: '' })
  expect(parseUri('s3://bucket//x/')).toEqual({ bucketName: 'bucket', key: '/x/' })
  for (const uri of [
    '',
    'bucket/key',
    'https://bucket/key',
    'S3://bucket/k',
    's3:///k',
    's3://B/k',
    's3://a/k',
    's3://-ab/k',
    's3://bucket/../k',
    's3://b@c/k',
  ])
    expect(() => parseUri(uri)).toThrow(expect.objectContaining({ code: 'invalid_parameter' }))
  expect(() => parseUri(`s3://bucket/${'x'.repeat(1025)}`)).toThrow(/1024 bytes/)
})
