/** Buckets in memory that keep the promises of the real ones: whole objects or none, names in the order of their bytes. */
import { InferdError } from '#contract/errors'
import type { Bucket, ObjectLocation, ObjectMeta, ObjectStores, PutOptions } from '#contract/objects'

interface Kept {
  readonly bytes: Buffer
  readonly meta: ObjectMeta
}

export class MemoryBucket implements Bucket {
  readonly objects = new Map<string, Kept>()
  /** Names of what was asked, as `put key`. */
  readonly log: string[] = []
  /** Runs before an operation; what it throws is what the bucket throws. */
  before: (operation: string, key: string) => void | Promise<void> = () => {}
  nowMs = 0

  async put(key: string, chunks: AsyncIterable<Uint8Array>, { contentType, maxBytes, ifAbsent }: PutOptions): Promise<ObjectMeta | null> {
    await this.note('put', key)
    const parts: Uint8Array[] = []
    for await (const chunk of chunks) parts.push(Uint8Array.from(chunk))
    const bytes = Buffer.concat(parts)
    if (bytes.length > maxBytes) throw new InferdError('payload_too_large', `an object may have ${maxBytes} bytes`)
    if (ifAbsent && this.objects.has(key)) return null
    const meta = { key, numBytes: bytes.length, contentType, etag: String(bytes.length), modifiedMs: this.nowMs }
    this.objects.set(key, { bytes, meta })
    return meta
  }

  async head(key: string): Promise<ObjectMeta | null> {
    await this.note('head', key)
    return this.objects.get(key)?.meta ?? null
  }

  async *read(key: string, start: number): AsyncGenerator<Uint8Array> {
    await this.note('read', key)
    const kept = this.objects.get(key)
    if (kept === undefined) throw new InferdError('resource_not_found', 'there is no such object')
    yield kept.bytes.subarray(start)
  }

  async list(prefix: string, afterKey: string | null, limit: number): Promise<readonly ObjectMeta[]> {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && (afterKey === null || key > afterKey)).sort()
    return keys.slice(0, limit).map((key) => this.objects.get(key)!.meta)
  }

  async delete(key: string): Promise<boolean> {
    await this.note('delete', key)
    return this.objects.delete(key)
  }

  text(key: string): string | null {
    return this.objects.get(key)?.bytes.toString('utf8') ?? null
  }

  private async note(operation: string, key: string): Promise<void> {
    this.log.push(`${operation} ${key}`)
    await this.before(operation, key)
  }
}

/** Each team has its own default bucket; `shared` is everybody's. */
export class MemoryObjects implements ObjectStores {
  readonly buckets = new Map<string, MemoryBucket>()

  bucket(name: string): MemoryBucket {
    const found = this.buckets.get(name) ?? new MemoryBucket()
    this.buckets.set(name, found)
    return found
  }

  locate(team: string, uri: string): ObjectLocation {
    const [, bucketName, key = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(uri) ?? []
    if (bucketName === undefined) throw new InferdError('invalid_parameter', 'it must be s3://bucket/key')
    if (bucketName !== this.defaultBucket(team) && bucketName !== 'shared') throw new InferdError('resource_not_found', 'there is no such bucket')
    return { bucket: this.bucket(bucketName), bucketName, key }
  }

  uriOf(bucketName: string, key: string): string {
    return `s3://${bucketName}/${key}`
  }

  defaultBucket(team: string): string {
    return `inferd-${team}`
  }
}
