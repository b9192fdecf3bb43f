/** What a bucket may hold after everything that was asked of it: kept outside of it, as a careful caller would. */
import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import { InferdError } from '#contract/errors'
import type { Bucket } from '#contract/objects'
import { compareKeys } from '#platform/objects/object-key'

export type Operation =
  | { readonly kind: 'put'; readonly key: string; readonly content: string; readonly ifAbsent: boolean }
  | { readonly kind: 'delete'; readonly key: string }

const SIGNAL = new AbortController().signal
const MAX_BYTES = 1 << 20

/** The type follows from the contents, so that a mixture of two versions is seen. */
const typeOf = (content: string): string => `text/${createHash('sha256').update(content).digest('hex').slice(0, 8)}`

export async function* chunksOf(content: string): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(content)
  yield bytes.subarray(0, 3)
  yield bytes.subarray(3)
}

export class ObjectJournal {
  /** null = absent. */
  private readonly allowed = new Map<string, ReadonlySet<string | null>>()

  private allowedOf(key: string): ReadonlySet<string | null> {
    return this.allowed.get(key) ?? new Set([null])
  }

  /** Throws what the bucket throws, after having noted what may have come of it. */
  async run(bucket: Bucket, operation: Operation): Promise<void> {
    const { key } = operation
    const before = this.allowedOf(key)
    if (operation.kind === 'delete') {
      this.allowed.set(key, new Set([...before, null]))
      await bucket.delete(key, SIGNAL)
      this.allowed.set(key, new Set([null]))
      return
    }
    const { content, ifAbsent } = operation
    if (!ifAbsent || before.has(null)) this.allowed.set(key, new Set([...before, content]))
    const options = { contentType: typeOf(content), maxBytes: MAX_BYTES, ifAbsent }
    const meta = await bucket.put(key, chunksOf(content), options, SIGNAL)
    if (meta !== null) {
      if (ifAbsent) expect(before).toContain(null)
      this.allowed.set(key, new Set([content]))
    } else {
      const present = [...before].filter((one) => one !== null)
      expect(present).not.toEqual([])
      this.allowed.set(key, new Set(present))
    }
  }

  /** Each object is whole and one of those it may be, or absent if it may be; what is seen now is what it stays. */
  async check(bucket: Bucket): Promise<void> {
    const present: string[] = []
    for (const [key, allowed] of this.allowed) {
      const seen = await contentOf(bucket, key)
      expect(allowed, `${key} holds ${seen}`).toContain(seen)
      this.allowed.set(key, new Set([seen]))
      if (seen !== null) present.push(key)
    }
    const listed = (await bucket.list('', null, 1000, SIGNAL)).map(({ key }) => key)
    expect(listed).toEqual(present.sort(compareKeys))
  }
}

export async function contentOf(bucket: Bucket, key: string): Promise<string | null> {
  const meta = await bucket.head(key, SIGNAL)
  const pieces: Uint8Array[] = []
  try {
    for await (const piece of bucket.read(key, 0, SIGNAL)) pieces.push(piece)
  } catch (error) {
    if (!(error instanceof InferdError) || error.code !== 'resource_not_found') throw error
    expect(meta).toBeNull()
    return null
  }
  const content = Buffer.concat(pieces).toString('utf8')
  expect(meta).toMatchObject({
    key,
    numBytes: Buffer.byteLength(content),
    contentType: typeOf(content),
    etag: createHash('sha256').update(content).digest('hex'),
  })
  return content
}
