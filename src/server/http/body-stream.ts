/** A body that is passed on as it arrives: under the lowest rate of every body, without a cap of its own, never held whole. */
import { InferdError } from '#contract/errors'
import { type BodyArrival, type BodyReadArguments, cutOff, enforceRate, isCutOff } from './body-reader.ts'

/** Throws unsupported_media_type, request_timeout or cancelled. The request is not destroyed when its reader leaves early. */
export async function* streamBody({ request, limits, clock }: Omit<BodyReadArguments, 'memory'>): AsyncGenerator<Uint8Array> {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (encoding !== 'identity') throw new InferdError('unsupported_media_type', 'content-encoding is not supported for this body')
  const reading = new AbortController()
  const arrival: BodyArrival = { numBytes: 0 }
  const chunks = request.iterator({ destroyOnReturn: false })
  const tooSlow = enforceRate({ arrival, limits: { ...limits, bodyTimeoutMs: Number.POSITIVE_INFINITY }, clock, signal: reading.signal })
  tooSlow.catch(() => {})
  try {
    for (;;) {
      const next = await Promise.race([chunks.next(), tooSlow])
      if (next.done === true) break
      const chunk = next.value as Uint8Array
      arrival.numBytes += chunk.length
      yield chunk
    }
  } catch (error) {
    if (error instanceof InferdError) throw error
    throw cutOff()
  } finally {
    reading.abort()
    request.on('error', () => {})
  }
  if (isCutOff(request)) throw cutOff()
}
