/** Session tokens: what opens, and that nothing else does. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seal } from './seal.ts'
import { mintSession, openSession, sessionSealingKey } from './session-token.ts'

const MASTER_KEY = Buffer.alloc(32, 7)
const KEY = sessionSealingKey(MASTER_KEY)
const PREFIX = 'inferd_st_'

test('a token says whose session it is, its secret and its end, and shows none of them', () => {
  const { accessKeyId, secretAccessKey, sessionToken, expiresMs } = mintSession(KEY, 'INFERDAK000000000001', 1_800_000_000_000)
  expect(accessKeyId).toMatch(/^ASIA[A-Z0-9]{16}$/)
  expect(secretAccessKey).toMatch(/^[A-Za-z0-9]{43}$/)
  expect(sessionToken).toMatch(/^inferd_st_[\w-]+$/)
  expect(openSession(KEY, accessKeyId, sessionToken)).toEqual({ keyId: 'INFERDAK000000000001', secret: secretAccessKey, expiresMs })
  const bytes = Buffer.from(sessionToken.slice(PREFIX.length), 'base64url').toString('latin1')
  for (const hidden of ['INFERDAK', secretAccessKey, String(expiresMs)]) expect(bytes).not.toContain(hidden)
})

test('10,000 tokens that were changed in a bit, a character, their length, their spelling or their owner do not open', () => {
  const { accessKeyId, sessionToken } = mintSession(KEY, 'INFERDAK000000000001', 1_800_000_000_000)
  const body = sessionToken.slice(PREFIX.length)
  const bytes = Buffer.from(body, 'base64url')
  const flipped = fc.nat(bytes.length * 8 - 1).map((bit) => {
    const changed = Buffer.from(bytes)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    return PREFIX + changed.toString('base64url')
  })
  const cut = fc.nat(sessionToken.length - 1).map((end) => sessionToken.slice(0, end))
  const spelled = fc.tuple(fc.nat(sessionToken.length), fc.string({ unit: 'binary', minLength: 1, maxLength: 3 }))
  const inserted = spelled.map(([at, text]) => sessionToken.slice(0, at) + text + sessionToken.slice(at))
  const replaced = fc.tuple(fc.nat(body.length - 1), fc.stringMatching(/^[\w+/=. -]$/)).map(([at, one]) => {
    return PREFIX + body.slice(0, at) + one + body.slice(at + 1)
  })
  const made = fc.uint8Array({ maxLength: 200 }).map((random) => PREFIX + Buffer.from(random).toString('base64url'))
  const changed = fc.oneof(flipped, cut, inserted, replaced, made, fc.string()).filter((token) => token !== sessionToken)
  const property = fc.property(changed, (token) => openSession(KEY, accessKeyId, token) === null)
  fc.assert(property, { numRuns: 10_000, seed: 6 })
})

test('a token opens for its own access key id only, under its own key only', () => {
  const [one, two] = [mintSession(KEY, 'A', 1), mintSession(KEY, 'A', 1)]
  expect(openSession(KEY, two.accessKeyId, one.sessionToken)).toBeNull()
  expect(openSession(KEY, '', one.sessionToken)).toBeNull()
  expect(openSession(sessionSealingKey(Buffer.alloc(32, 8)), one.accessKeyId, one.sessionToken)).toBeNull()
})

test('a secret that the store keeps sealed is no token', () => {
  const sealed = Buffer.from(seal(MASTER_KEY, 'ASIA0000000000000000', '9999999999999 A secret'), 'base64')
  expect(openSession(KEY, 'ASIA0000000000000000', PREFIX + sealed.toString('base64url'))).toBeNull()
})
