/** Every answer of the server means one thing for an invocation, whatever its bytes are. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ERRORS } from '#contract/errors'
import { encodeFailure, readFailure } from './failure-object.ts'
import { judgeAnswer } from './judge-answer.ts'

const SEED = 104

function answerOf(status: number, body: string, headers: Record<string, string> = {}): Parameters<typeof judgeAnswer>[0] {
  return { status, headers, body: Buffer.from(body) }
}

test.each([
  [200, '{}', 'answer'],
  [429, '{}', 'wait'],
  [503, '{}', 'wait'],
  [424, '{"OriginalStatusCode":400}', 'failure'],
  [424, '{"OriginalStatusCode":504}', 'failure'],
  [424, '{"OriginalStatusCode":500}', 'retry'],
  [500, '{}', 'retry'],
  [530, '{}', 'retry'],
  [413, '{}', 'failure'],
  [404, 'no JSON', 'failure'],
])('%i with %s: %s', (status, body, kind) => {
  expect(judgeAnswer(answerOf(status, body)).kind).toBe(kind)
})

test('the time to wait is what the answer says, if it says a time', () => {
  const waitOf = (value: string): unknown => judgeAnswer(answerOf(429, '', { 'retry-after': value }))
  expect(waitOf('7')).toEqual({ kind: 'wait', retryAfterMs: 7000 })
  for (const odd of ['-1', 'soon', 'NaN', 'Infinity', 'Wed, 21 Oct 2015 07:28:00 GMT'])
    expect(waitOf(odd)).toEqual({ kind: 'wait', retryAfterMs: null })
})

test('no bytes of an answer or of a failure object are too odd to be judged, and what is told of them is bounded', () => {
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.json().map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 599 }), bytes, (status, body) => {
      const verdict = judgeAnswer({ status, headers: {}, body })
      if (verdict.kind === 'retry' || verdict.kind === 'failure') expect(verdict.error.message.length).toBeLessThanOrEqual(2048)
      expect(Object.keys(ERRORS)).toContain(readFailure(body).code)
    }),
    { seed: SEED, numRuns: 500 },
  )
})

test('what a failure object says is read back', () => {
  const error = { code: 'replica_lost', message: 'the worker died', param: null, retryAfterMs: null } as const
  expect(readFailure(encodeFailure(error, 'order-7'))).toEqual(error)
})
