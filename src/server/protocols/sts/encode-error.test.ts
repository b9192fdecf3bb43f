/** Every error of the registry as the Security Token Service tells it. */
import { expect, test } from 'vitest'
import { type ErrorCode, ERRORS } from '#contract/errors'
import { encodeError } from './encode-error.ts'

const CODES = Object.keys(ERRORS) as ErrorCode[]

test('every error is one element with type, code, message and request id; what may be sent again says when', () => {
  for (const code of CODES) {
    const { status, headers, body } = encodeError({ code, message: `<"${code}"> & \u0000\ud800`, param: null, retryAfterMs: 1500 }, 'req-1')
    const [, type, name, message, id] =
      /^<ErrorResponse xmlns="[^"]+"><Error><Type>(.+)<\/Type><Code>(\w+)<\/Code><Message>(.*)<\/Message><\/Error><RequestId>(.+)<\/RequestId><\/ErrorResponse>$/.exec(
        body,
      ) ?? []
    expect([code, type, message, id]).toEqual([code, status < 500 ? 'Sender' : 'Receiver', `&lt;"${code}"&gt; &amp; \ufffd\ufffd`, 'req-1'])
    expect(name).toMatch(/^[A-Z]\w+$/)
    expect(headers['retry-after']).toBe(ERRORS[code].retryable ? '2' : undefined)
  }
})

test('refused callers get the names of AWS', () => {
  const rowOf = (code: ErrorCode): readonly unknown[] => {
    const { status, body } = encodeError({ code, message: 'm', param: null, retryAfterMs: null }, 'r')
    return [status, /<Code>(\w+)</.exec(body)?.[1]]
  }
  expect(rowOf('unauthenticated')).toEqual([403, 'MissingAuthenticationToken'])
  expect(rowOf('invalid_credentials')).toEqual([403, 'InvalidClientTokenId'])
  expect(rowOf('signature_mismatch')).toEqual([403, 'SignatureDoesNotMatch'])
  expect(rowOf('session_expired')).toEqual([403, 'ExpiredToken'])
  expect(rowOf('forbidden')).toEqual([403, 'AccessDenied'])
})
