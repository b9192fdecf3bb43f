/** Which calls are in a sample: a function of their ids, so that who knows these knows the sample, on every server and after every restart. */
import { createHash } from 'node:crypto'

/** The place of an id in [0, 100): the first four bytes of its SHA-256, big endian, as a part of 2^32. A sample has the places below its percentage. */
export function samplePlace(requestId: string): number {
  return (createHash('sha256').update(requestId).digest().readUInt32BE(0) / 2 ** 32) * 100
}
