/** Session tokens: what opens, and that nothing else does. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seal } from './seal.ts'
import { mintSession, openSession, sessionSealingKey, sessionSecret } from './session-token.ts'

const MASTER_KEY = Buffer.alloc(32, 7)
const KEY = sessionSealingKey(MASTER_KEY)
const PREFIX = 'inferd_st_'
const PARENT = { id: 'INFERDAK000000000001', secret: 's'.repeat(43) }

test('a token says whose session it is and its end, shows neither, and does not have its secret', () => {
  const { accessKeyId, secretAccessKey, sessionToken, expiresMs } = mintSession(KEY, PARENT, 1_800_000_000_000)
  expect(accessKeyId).toMatch(/^ASIA[A-Z0-9]{16}$/)
  expect(secretAccessKey).toMatch(/^[\w-]{43}$/)
  expect(sessionToken).toMatch(/^inferd_st_[\w-]+$/)
  expect(openSession(KEY, accessKeyId, sessionToken)).toEqual({ accessKeyId, keyId: PARENT.id, expiresMs })
  const bytes = Buffer.from(sessionToken.slice(PREFIX.length), 'base64url').toString('latin1')
  for (const hidden of ['INFERDAK', secretAccessKey, String(expiresMs)]) expect(bytes).not.toContain(hidden)
})

test('10,000 tokens that were changed in a bit, a character, their length, their spelling or their owner do not open', () => {
  const { accessKeyId, sessionToken } = mintSession(KEY, PARENT, 1_800_000_000_000)
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
  const [one, two] = [mintSession(KEY, PARENT, 1), mintSession(KEY, PARENT, 1)]
  expect(openSession(KEY, two.accessKeyId, one.sessionToken)).toBeNull()
  expect(openSession(KEY, '', one.sessionToken)).toBeNull()
  expect(openSession(sessionSealingKey(Buffer.alloc(32, 8)), one.accessKeyId, one.sessionToken)).toBeNull()
})

test('the secret of a session follows from its id, its end and the secret of its key', () => {
  const session = { accessKeyId: 'ASIA0000000000000000', expiresMs: 1 }
  const secrets = [
    sessionSecret(PARENT.secret, session),
    sessionSecret('other', session),
    sessionSecret(PARENT.secret, { ...session, expiresMs: 2 }),
    sessionSecret(PARENT.secret, { ...session, accessKeyId: 'ASIA0000000000000001' }),
  ]
  expect(new Set(secrets).size).toBe(4)
  expect(sessionSecret(PARENT.secret, session)).toBe(secrets[0])
})

test('a secret that the store keeps sealed is no token', () => {
  const sealed = Buffer.from(seal(MASTER_KEY, 'ASIA0000000000000000', `9999999999999 ${PARENT.id}`), 'base64')
  expect(openSession(KEY, 'ASIA0000000000000000', PREFIX + sealed.toString('base64url'))).toBeNull()
})
