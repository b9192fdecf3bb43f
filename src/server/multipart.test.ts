/** Forms however they are cut into chunks, and bytes that are no form. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readMultipart } from './multipart.ts'

const TYPE = 'multipart/form-data; boundary=xyz'

interface Part {
  readonly name: string
  readonly filename: string | null
  readonly text: string
}

async function* chunksOf(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let start = 0
  for (let turn = 0; start < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    yield bytes.subarray(start, start + size)
    start += size
  }
}

async function read(bytes: Uint8Array, sizes: readonly number[] = [7], ...types: readonly (string | undefined)[]): Promise<Part[]> {
  const parts: (Omit<Part, 'text'> & { pieces: Uint8Array[]; hasEnded: boolean })[] = []
  for await (const event of readMultipart(chunksOf(bytes, sizes), types.length === 0 ? TYPE : types[0])) {
    const last = parts.at(-1)
    if (event.type === 'part-start') parts.push({ name: event.name, filename: event.filename, pieces: [], hasEnded: false })
    else if (last === undefined || last.hasEnded) throw new RangeError('bytes outside of a part')
    else if (event.type === 'part-bytes') last.pieces.push(event.bytes.slice())
    else last.hasEnded = true
  }
  return parts.map(({ name, filename, pieces }) => ({ name, filename, text: Buffer.concat(pieces).toString('latin1') }))
}

function form(parts: readonly Part[]): Buffer {
  const heads = parts.map(({ name, filename, text }) => {
    const file = filename === null ? '' : `; filename="${filename}"`
    return Buffer.concat([
      Buffer.from(`--xyz\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n`),
      Buffer.from(text, 'latin1'),
      Buffer.from('\r\n'),
    ])
  })
  return Buffer.concat([...heads, Buffer.from('--xyz--\r\n')])
}

/** Bytes that look like boundaries are likelier than chance has them. */
const body = fc
  .array(fc.oneof(fc.constantFrom('\r', '\n', '\r\n', '-', '--', '\r\n--', '\r\n--xy', 'xyz', '\r\n\r\n'), fc.string({ maxLength: 8 })), {
    maxLength: 12,
  })
  .map((pieces) => Buffer.from(pieces.join('')).toString('latin1'))
  .filter((text) => !text.includes('\r\n--xyz'))

test('a form is the same form however it is cut', async () => {
  const parts = fc.array(fc.record({ name: fc.constantFrom('a', 'file'), filename: fc.constantFrom(null, 'x.jsonl'), text: body }), {
    minLength: 1,
    maxLength: 4,
  })
  await fc.assert(
    fc.asyncProperty(parts, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }), async (sent, sizes) => {
      expect(await read(form(sent), sizes)).toEqual(sent)
    }),
    { seed: 3, numRuns: 300 },
  )
})

test('what a browser and undici write is read back', async () => {
  const sent = new FormData()
  sent.append('purpose', 'user_data')
  sent.append('file', new File(['α\r\n--'], 'a "b"\r\nä.txt'))
  const { body: stream, headers } = new Response(sent)
  const bytes = Buffer.concat(await Array.fromAsync(stream ?? []))
  const parts = await read(bytes, [13], headers.get('content-type') ?? '')
  expect(parts).toEqual([
    { name: 'purpose', filename: null, text: 'user_data' },
    { name: 'file', filename: 'a "b"\r\nä.txt', text: Buffer.from('α\r\n--').toString('latin1') },
  ])
})

const HEAD = '--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n'

test.each([
  ['nothing', '', 'the last boundary is missing'],
  ['no boundary', 'x'.repeat(2000), 'it does not begin with its boundary'],
  ['a cut body', `${HEAD}abc`, 'the last boundary is missing'],
  ['a cut head', '--xyz\r\nContent-Dis', 'the last boundary is missing'],
  ['a boundary that goes on', '--xyzz\r\n', 'a boundary is not followed by a line break'],
  ['a part without a name', '--xyz\r\nContent-Disposition: form-data\r\n\r\n\r\n--xyz--', 'a part has no name'],
  ['a part without a disposition', '--xyz\r\nContent-Type: text/plain\r\n\r\n\r\n--xyz--', 'a part has no content-disposition'],
  ['an endless head', `--xyz\r\nX: ${'y'.repeat(10_000)}`, 'the head of a part has more than 8192 bytes'],
  ['too many parts', `${`${HEAD}\r\n`.repeat(40)}--xyz--`, 'more than 32 parts'],
])('%s is refused', async (_name, text, message) => {
  for (const sizes of [[1], [64], [100_000]]) await expect(read(Buffer.from(text), sizes)).rejects.toThrow(message)
})

test.each([
  undefined,
  'application/json',
  'multipart/form-data',
  'multipart/form-data; boundary=',
  `multipart/form-data; boundary=${'x'.repeat(71)}`,
  'multipart/mixed; boundary=xyz',
])('the content type %s is refused', async (type) => {
  await expect(read(form([]), [9], type)).rejects.toMatchObject({ code: 'unsupported_media_type' })
})

test('a quoted boundary and other parameters are read, an epilogue is skipped', async () => {
  const bytes = Buffer.concat([form([{ name: 'a', filename: null, text: 'b' }]), Buffer.from('whatever follows')])
  expect(await read(bytes, [5], 'Multipart/Form-Data; charset=utf-8; boundary="xyz"')).toEqual([{ name: 'a', filename: null, text: 'b' }])
})
