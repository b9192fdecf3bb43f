/** A list that is read as it comes is what the whole body would be, however it is cut; everything else is refused. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { streamArray } from './json-array-stream.ts'

async function* cut(text: string | Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text as string)
  for (let start = 0, index = 0; start < bytes.length; index++) {
    const end = start + (sizes[index % sizes.length] ?? 1)
    yield bytes.subarray(start, end)
    start = end
  }
}

const items = (
  text: string | Uint8Array,
  sizes: readonly number[] = [5],
  limits: { maxItemBytes?: number; maxBodyBytes?: number } = {},
): Promise<string[]> => Array.fromAsync(streamArray(cut(text, sizes), { name: 'requests', maxItemBytes: 1000, maxBodyBytes: 100_000, ...limits }))

test('however a body is cut, its items are those of the whole', async () => {
  const object = fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 4 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
  const property = fc.asyncProperty(
    fc.array(object, { maxLength: 5 }),
    fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
    fc.constantFrom(0, 2),
    async (requests, sizes, indent) => {
      const found = await items(JSON.stringify({ requests }, null, indent), sizes, { maxItemBytes: 100_000 })
      expect(found.map((text) => JSON.parse(text) as unknown)).toEqual(JSON.parse(JSON.stringify(requests)))
    },
  )
  await fc.assert(property, { seed: 11, numRuns: 300 })
})

test.each([
  ['nothing', '', 'malformed_body', null],
  ['no list', '{}', 'invalid_parameter', 'requests'],
  ['another key', '{"input": []}', 'invalid_parameter', 'input'],
  ['another key behind the list', '{"requests": [], "more": 1}', 'malformed_body', null],
  ['a list that is cut', '{"requests": [{"a": 1}', 'malformed_body', null],
  ['a body that is cut', '{"requests": [{"a": 1}]', 'malformed_body', null],
  ['an item that is cut', '{"requests": [{"a": "}', 'malformed_body', null],
  ['a list', '[{"a": 1}]', 'malformed_body', null],
  ['a number in the list', '{"requests": [{}, 7]}', 'invalid_parameter', 'requests[1]'],
  ['a comma too many', '{"requests": [{},]}', 'invalid_parameter', null],
  ['no comma', '{"requests": [{}{}]}', 'malformed_body', null],
  ['what is behind the body', '{"requests": []} {}', 'malformed_body', null],
  ['a head without end', `${' '.repeat(5000)}{"requests": []}`, 'malformed_body', null],
  ['bytes that are not UTF-8', Buffer.from([...Buffer.from('{"requests": [{"a":"'), 0xc3, ...Buffer.from('"}]}')]), 'malformed_body', null],
] as const)('%s is refused', async (_name, body, code, param) => {
  const error = await items(body).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject(param === null ? { code: code === 'invalid_parameter' ? code : 'malformed_body' } : { code, param })
})

test('an item and a body have limits', async () => {
  const body = JSON.stringify({ requests: [{ a: 1 }, { a: 'x'.repeat(100) }] })
  await expect(items(body, [7], { maxItemBytes: 50 })).rejects.toMatchObject({ code: 'payload_too_large', param: 'requests[1]' })
  await expect(items(body, [7], { maxBodyBytes: 50 })).rejects.toMatchObject({ code: 'payload_too_large' })
  expect(await items(body, [7], { maxItemBytes: 108, maxBodyBytes: 200 })).toHaveLength(2)
})
