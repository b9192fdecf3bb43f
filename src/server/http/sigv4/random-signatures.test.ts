/** The verifier against smithy's signer on random requests, and against every part of them being spoilt. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Case, NOW_MS, queryText, requests, SECRET, signed, signer, unsigned, verdict } from '../../../../tests/sigv4/signed-requests.ts'

describe("smithy's signer", () => {
  test('signs what is good here, on 3,000 random requests, and no spoilt part of them is', async () => {
    const property = fc.asyncProperty(requests, fc.nat(4), async (request, part) => {
      const good = await signed(request)
      expect(await verdict(good)).toBe('good')
      const spoilt: readonly Case[] = [
        { ...good, body: `${good.body}x` },
        { ...good, method: 'PUT' },
        { ...good, url: good.url.includes('?') ? `${good.url}&a=1` : `${good.url}?a=1` },
        { ...good, url: `/model${good.url}` },
        { ...good, rawHeaders: good.rawHeaders.map((value) => (value === 'application/json' ? 'text/plain' : value)) },
      ]
      expect(await verdict(spoilt[part]!)).toBe('signature_mismatch')
      expect(await verdict(good, { secret: `${SECRET}x` })).toBe('signature_mismatch')
    })
    await fc.assert(property, { numRuns: 3000, seed: 4 })
  })

  test('presigns URLs that are good until they expire, and not with another query', async () => {
    const property = fc.asyncProperty(requests, async (request) => {
      const presigned = await signer().presign(unsigned({ ...request, claimsHash: false }), { signingDate: new Date(NOW_MS), expiresIn: 600 })
      const url = `${presigned.path}?${queryText(presigned.query as Record<string, string>)}`
      const good: Case = { method: 'POST', url, rawHeaders: Object.entries(presigned.headers).flat(), body: request.body }
      expect(await verdict(good, { nowMs: NOW_MS + 600_000 })).toBe('good')
      expect(await verdict(good, { nowMs: NOW_MS + 600_001 })).toBe('signature_expired')
      expect(await verdict({ ...good, url: `${url}&a=1` })).toBe('signature_mismatch')
      expect(await verdict({ ...good, body: `${good.body}x` })).toBe('signature_mismatch')
    })
    await fc.assert(property, { numRuns: 300, seed: 5 })
  })
})
