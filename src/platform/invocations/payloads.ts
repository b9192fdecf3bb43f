/** Payloads that came with their orders: each under the id of its invocation, so that one without an invocation is known for what it is. */
import { InferdError } from '#contract/errors'
import type { JobDesk } from '#contract/job'
import type { ObjectStores } from '#contract/objects'

const FOLDER = 'async/input/'
const PAGE = 1000
/** Between a payload and its job lies one commit: what is so old and has none will never have one. */
const ORPHAN_AGE_MS = 3_600_000

export function payloadUri(stores: ObjectStores, team: string, invocationId: string): string {
  return stores.uriOf(stores.defaultBucket(team), `${FOLDER}${invocationId}`)
}

export interface SweepPorts {
  readonly stores: ObjectStores
  readonly desk: Pick<JobDesk, 'get'>
  readonly nowMs: number
  readonly signal: AbortSignal
}

/** Deletes what a crash has left between a payload and its job. Returns how many. Throws store_failed. */
export async function sweepPayloads(team: string, { stores, desk, nowMs, signal }: SweepPorts): Promise<number> {
  const { bucket } = stores.locate(team, payloadUri(stores, team, 'any'))
  let numDeleted = 0
  let afterKey: string | null = null
  for (;;) {
    const page: Awaited<ReturnType<typeof bucket.list>> = await bucket.list(FOLDER, afterKey, PAGE, signal)
    for (const { key, modifiedMs } of page) {
      if (modifiedMs > nowMs - ORPHAN_AGE_MS) continue
      const job = await desk.get(team, key.slice(FOLDER.length))
      if (job !== null && job.endedMs === null) continue
      if (await bucket.delete(key, signal)) numDeleted++
    }
    if (page.length < PAGE) return numDeleted
    afterKey = page.at(-1)!.key
  }
}

/** All of an object. Throws resource_not_found, payload_too_large before a byte is read, and store_failed. */
export async function readWhole(
  { bucket, key }: ReturnType<ObjectStores['locate']>,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const meta = await bucket.head(key, signal)
  if (meta === null) throw new InferdError('resource_not_found', 'there is no object at the input location')
  if (meta.numBytes > maxBytes) throw new InferdError('payload_too_large', `the input has ${meta.numBytes} bytes; a call takes ${maxBytes}`)
  const chunks: Uint8Array[] = []
  let numBytes = 0
  for await (const chunk of bucket.read(key, 0, signal)) {
    numBytes += chunk.length
    if (numBytes > maxBytes) throw new InferdError('payload_too_large', `the input has more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
