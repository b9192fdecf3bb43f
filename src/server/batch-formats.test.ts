/** Lines of every dialect: whatever comes in is judged and never thrown at, whatever goes out is one line of JSON that its readers know. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BatchFormat, BatchPlan, BatchRecord, InputLine } from '#contract/batch'
import { BATCH_FORMATS } from './batch-formats.ts'

const PLACE = { jobId: 'batch_1', index: 3 }
const PLAN: BatchPlan = {
  dialect: 'openai',
  endpoint: '/v1/chat/completions',
  input: { kind: 'file', fileId: 'file-1' },
  output: { kind: 'files', expiresAfterS: null },
  numRecords: null,
  terms: {},
}

const text = (line: string): InputLine => ({ kind: 'text', number: 7, text: line })
/** Near what is right, so that every check is met. */
const nearLine = fc.record(
  {
    custom_id: fc.oneof(fc.constant('a'), fc.jsonValue()),
    recordId: fc.oneof(fc.constant('a'), fc.jsonValue()),
    method: fc.oneof(fc.constant('POST'), fc.jsonValue()),
    url: fc.oneof(fc.constant(PLAN.endpoint), fc.jsonValue()),
    body: fc.oneof(fc.dictionary(fc.constantFrom('stream', 'background', '__proto__', 'model'), fc.jsonValue()), fc.jsonValue()),
    params: fc.oneof(fc.dictionary(fc.constantFrom('stream', 'model'), fc.jsonValue()), fc.jsonValue()),
    modelInput: fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()),
  },
  { requiredKeys: [] },
)
const inputLine: fc.Arbitrary<InputLine> = fc.oneof(
  nearLine.map((value) => text(JSON.stringify(value))),
  fc.jsonValue().map((value) => text(JSON.stringify(value))),
  fc.string().map(text),
  fc.constantFrom<InputLine>({ kind: 'unreadable', number: 7, problem: 'too-long' }, { kind: 'unreadable', number: 7, problem: 'not-utf8' }),
)

const read = (format: BatchFormat, line: InputLine): BatchRecord => format.readRecord(line, { ...PLAN, dialect: format.dialect }, PLACE)

function parsedLine(line: string): Record<string, unknown> {
  expect(line).not.toMatch(/[\r\n]/)
  return JSON.parse(line) as Record<string, unknown>
}

describe.each(BATCH_FORMATS.map((format) => [format.dialect, format] as const))('%s', (_name, format) => {
  test('any line is a call, an answer or a fault; the same one every time', () => {
    const property = fc.property(inputLine, (line) => {
      const record = read(format, line)
      expect(read(format, line)).toEqual(record)
      if (record.kind === 'fault')
        expect(record.fault).toMatchObject({ line: 7, code: expect.stringMatching(/^[a-z_]+$/), message: expect.any(String) })
      else if (record.kind === 'refused') parsedLine(record.line)
      else expect(JSON.parse(record.body)).toBeTypeOf('object')
    })
    fc.assert(property, { seed: 3, numRuns: 1000 })
  })

  test('any answer is one line, and only 200 is one that succeeded', () => {
    const body = fc.oneof(
      fc.jsonValue().map((value) => JSON.stringify(value, null, 1)),
      fc.jsonValue().map((value) => JSON.stringify({ usage: value, message: value, output: value })),
      fc.string(),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('latin1')),
    )
    const property = fc.property(fc.string(), body, fc.constantFrom(200, 400, 429, 500), (customId, answer, status) => {
      const call = { kind: 'call', customId, body: '{"a":1}' } as const
      const { isOk, line } = format.encodeAnswer(call, { status, headers: {}, body: Buffer.from(answer) }, PLACE)
      expect(isOk).toBe(status === 200)
      const parsed = parsedLine(line)
      expect(parsed['custom_id'] ?? parsed['recordId']).toBe(customId)
      for (const count of Object.values(format.readUsage(line))) expect(Number.isFinite(count)).toBe(true)
    })
    fc.assert(property, { seed: 4, numRuns: 1000 })
  })

  test('what was never answered is one line, or none', () => {
    const call = { kind: 'call', customId: '"\n\u2028', body: '{"a":1}' } as const
    for (const reason of ['cancelled', 'expired', 'failed'] as const) {
      const line = format.encodeUnfinished(call, reason, PLACE)
      if (line !== null) expect(parsedLine(line)['custom_id']).toBe(call.customId)
    }
    const late = parsedLine(format.encodeTimeout(call, PLACE))
    expect(late['custom_id'] ?? late['recordId']).toBe(call.customId)
  })
})
