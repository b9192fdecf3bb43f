/** Captured calls as lines, and where they lie. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { captureKey } from './capture-object.ts'
import { type CapturedBody, type CaptureRecord, encodeRecord } from './capture-record.ts'
import { samplePlace } from './sample.ts'

const TYPES = { csvTypes: ['text/csv'], jsonTypes: ['application/json'] }

function body(contentType: string, bytes: Uint8Array | string, isTruncated = false): CapturedBody {
  return { contentType, bytes: Buffer.from(bytes), isTruncated }
}

function textOf(record: CaptureRecord): string {
  return [...encodeRecord(record, TYPES)].join('')
}

function lineOf(input: CapturedBody | null, output: CapturedBody | null): Readonly<Record<string, Readonly<Record<string, object>>>> {
  const line = textOf({ requestId: 'req-1', inferenceId: null, wallMs: 1_700_000_000_789, input, output })
  expect(line.indexOf('\n')).toBe(line.length - 1)
  return JSON.parse(line) as ReturnType<typeof lineOf>
}

test('a record has the shape of SageMaker', () => {
  expect(lineOf(body('text/csv; charset=utf-8', '1,2\n'), body('application/json', '{"a":"ö"}'))).toEqual({
    captureData: {
      endpointInput: { observedContentType: 'text/csv; charset=utf-8', mode: 'INPUT', data: '1,2\n', encoding: 'CSV' },
      endpointOutput: { observedContentType: 'application/json', mode: 'OUTPUT', data: '{"a":"ö"}', encoding: 'JSON' },
    },
    eventMetadata: { eventId: 'req-1', inferenceTime: '2023-11-14T22:13:20Z' },
    eventVersion: '0',
  })
})

test('only what was asked for is in it, and the id of the caller where there is one', () => {
  const record = { requestId: 'r', inferenceId: 'mine', wallMs: 0, input: body('application/json', '{}'), output: null }
  expect(JSON.parse(textOf(record))).toEqual({
    captureData: { endpointInput: { observedContentType: 'application/json', mode: 'INPUT', data: '{}', encoding: 'JSON' } },
    eventMetadata: { eventId: 'r', inferenceId: 'mine', inferenceTime: '1970-01-01T00:00:00Z' },
    eventVersion: '0',
  })
})

test('a body of another content type, or that is no UTF-8, is kept in Base64', () => {
  const { captureData } = lineOf(body('image/png', 'abc'), body('application/json', Buffer.from([0x7b, 0xff])))
  expect(captureData).toMatchObject({
    endpointInput: { data: 'YWJj', encoding: 'BASE64' },
    endpointOutput: { data: 'e/8=', encoding: 'BASE64' },
  })
})

test('any body comes back from its line, byte for byte', () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.string({ unit: 'binary', maxLength: 64 }).map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(anyBytes, fc.constantFrom('application/json', 'text/csv', 'a/b', ''), (bytes, type) => {
      const { data, encoding } = lineOf(null, body(type, bytes))['captureData']!['endpointOutput'] as Readonly<Record<string, string>>
      expect(Buffer.from(data!, encoding === 'BASE64' ? 'base64' : 'utf8')).toEqual(Buffer.from(bytes))
    }),
    { seed: 11, numRuns: 500 },
  )
})

test('a text that was cut anywhere stays a text, without the broken character at its end', () => {
  const text = Buffer.from('aö€🦊z')
  for (let length = 0; length <= text.length; length++) {
    const { endpointInput } = lineOf(body('application/json', text.subarray(0, length), true), null)['captureData']!
    const { data, encoding, truncated } = endpointInput as Readonly<Record<string, unknown>>
    expect([encoding, truncated]).toEqual(['JSON', true])
    expect('aö€🦊z'.startsWith(String(data))).toBe(true)
  }
})

test('an object is named by endpoint, variant and the time of its first record', () => {
  const place = { endpoint: 'chat', variant: 'main', terms: { isEnabled: true, percent: 1, team: 't', uri: '', input: true, output: true, ...TYPES } }
  const wallMs = Date.UTC(2026, 11, 1, 3, 4, 5, 67)
  expect(captureKey('a/b/', place, wallMs, 'u')).toBe('a/b/chat/main/2026/12/01/03/04-05-067-u.jsonl')
  expect(captureKey('', place, wallMs, 'u')).toBe('chat/main/2026/12/01/03/04-05-067-u.jsonl')
})

test('places in a sample are spread evenly, and are those of SHA-256', () => {
  expect(samplePlace('abc')).toBe((0xba7816bf / 2 ** 32) * 100)
  const places = Array.from({ length: 20_000 }, (_, index) => samplePlace(`req-${index}`))
  for (const percent of [1, 20, 50]) {
    const share = places.filter((place) => place < percent).length / places.length
    expect(Math.abs(share - percent / 100)).toBeLessThan(0.01)
  }
})

test('a body of many slices comes back whole, wherever they cut its characters, and none of its pieces is large', () => {
  const text = 'aö€🦊"\\\u0000'.repeat(20_000)
  for (const type of ['application/json', 'image/png'])
    for (const shift of ['', 'x', 'xx', 'xxx']) {
      const record = { requestId: 'r', inferenceId: null, wallMs: 0, input: body(type, shift + text), output: null }
      const pieces = [...encodeRecord(record, TYPES)]
      expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(300_000)
      const { data, encoding } = (JSON.parse(pieces.join('')) as { captureData: { endpointInput: Readonly<Record<string, string>> } }).captureData
        .endpointInput
      expect(Buffer.from(data!, encoding === 'BASE64' ? 'base64' : 'utf8').equals(Buffer.from(shift + text))).toBe(true)
    }
})
