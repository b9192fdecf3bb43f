import { expect, test } from 'vitest'
import { type ErrorCode, ERRORS } from '#contract/errors'
import { encodeError, WIRE_ERRORS } from './encode-error.ts'

const codes = Object.keys(ERRORS) as ErrorCode[]

test('every error code has a status that fits its kind', () => {
  for (const code of codes) {
    const { status } = encodeError({ code, message: 'm', param: null, retryAfterMs: null })
    const isServerSide = ERRORS[code].kind !== 'rejection' || ['overloaded', 'model_loading', 'shutting_down'].includes(code)
    expect([code, status >= 500]).toEqual([code, isServerSide])
  }
})

test('no two error codes share a wire code, but for refused credentials', () => {
  const others = codes.filter((code) => WIRE_ERRORS[code].status !== 401)
  expect(new Set(others.map((code) => WIRE_ERRORS[code].code)).size).toBe(others.length)
  expect(new Set(codes.filter((code) => !others.includes(code)).map((code) => WIRE_ERRORS[code].code))).toEqual(new Set(['invalid_api_key']))
})

test('the body has exactly the four fields of the OpenAI shape', () => {
  const { body } = encodeError({ code: 'invalid_parameter', message: 'too hot', param: 'temperature', retryAfterMs: null })
  expect(body).toBe('{"error":{"message":"too hot","type":"invalid_request_error","param":"temperature","code":"invalid_parameter"}}')
})

test('clients are told not to retry exactly what cannot succeed later', () => {
  for (const code of codes) {
    const { headers } = encodeError({ code, message: 'm', param: null, retryAfterMs: null })
    expect([code, headers['x-should-retry']]).toEqual([code, ERRORS[code].retryable ? undefined : 'false'])
  }
})

test('retry-after is in whole seconds, rounded up, on 503 only', () => {
  const retryAfter = (code: ErrorCode, retryAfterMs: number | null): string | undefined =>
    encodeError({ code, message: 'm', param: null, retryAfterMs }).headers['retry-after']
  expect([retryAfter('overloaded', 1500), retryAfter('overloaded', 1), retryAfter('model_loading', null), retryAfter('internal', 1500)]).toEqual([
    '2',
    '1',
    '1',
    undefined,
  ])
})
