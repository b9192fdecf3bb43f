/**
 * A bucket of S3, or of a store that speaks as it does. Small objects go in one request, large ones in parts, one at a time; what did not
 * become an object leaves no parts. The client retries with a growing, bounded wait; a read that breaks off goes on where it was.
 */
import { createHash } from 'node:crypto'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { Bucket, ObjectEntry, ObjectMeta, PutOptions } from '#contract/objects'
import { abortableChunks } from './abortable-chunks.ts'
import { checkKey, checkPrefix, isKey } from './object-key.ts'
import { partBuffers } from './part-buffers.ts'
import { attemptsOf, isDamaged, nameOf, s3Error, statusOf } from './s3-errors.ts'
import { uploadParts } from './s3-parts.ts'

export interface S3BucketOptions {
  readonly client: S3Client
  readonly name: string
  /** Content-MD5 with every body, where the checksums of AWS are not sent. */
  readonly sendsMd5: boolean
  readonly clock: Clock
}

interface Abort {
  readonly abortSignal: AbortSignal
}

const MIN_PART_BYTES = 8 * 2 ** 20
const MAX_PART_BYTES = 64 * 2 ** 20
/** S3's bound. */
const MAX_PARTS = 10_000
const MAX_PAGE = 1000
const MAX_RESUMES = 4
const RESUME_WAIT_MS = 200

export class S3Bucket implements Bucket {
  private readonly options: S3BucketOptions

  constructor(options: S3BucketOptions) {
    this.options = options
  }

  async put(key: string, chunks: AsyncIterable<Uint8Array>, options: PutOptions, signal: AbortSignal): Promise<ObjectMeta | null> {
    signal.throwIfAborted()
    checkKey(key)
    const maxBytes = Math.min(options.maxBytes, MAX_PARTS * MAX_PART_BYTES)
    const partBytes = Math.min(Math.max(Math.ceil(maxBytes / MAX_PARTS), MIN_PART_BYTES), MAX_PART_BYTES)
    const parts = partBuffers(abortableChunks(chunks, signal), { partBytes, maxBytes })
    try {
      const first = (await parts.next()).value!
      const isNew = await (first.length < partBytes
        ? this.putWhole(key, first, options, signal)
        : uploadParts({ ...this.options, key, first, rest: parts, put: options, isThere: () => this.isThere(key, signal) }, signal))
      return isNew ? await this.metaOfNew(key, signal) : null
    } finally {
      await parts.return()
    }
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectMeta | null> {
    checkKey(key)
    const command = new HeadObjectCommand({ Bucket: this.options.name, Key: key })
    const answer = await this.ask(
      (abort) => this.options.client.send(command, abort),
      signal,
      (error) => {
        if (statusOf(error) === 404) return null
        throw this.inOurWords(error)
      },
    )
    if (answer === null) return null
    const { ContentLength = 0, ContentType = 'application/octet-stream', ETag, LastModified } = answer
    return { key, numBytes: ContentLength, contentType: ContentType, etag: bare(ETag), modifiedMs: wholeSeconds(LastModified) }
  }

  async *read(key: string, start: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    checkKey(key)
    let position = start
    let etag: string | undefined
    for (let numFailures = 0; ; numFailures++) {
      const answer = await this.get(key, { position, etag }, signal)
      if (answer === null) return
      const end = position + (answer.ContentLength ?? 0)
      const body = answer.Body as AsyncIterable<Uint8Array> & { destroy(): void }
      etag = answer.ETag
      try {
        for await (const chunk of abortableChunks(body, signal)) {
          position += chunk.length
          yield chunk
        }
        if (position >= end) return
      } catch (error) {
        signal.throwIfAborted()
        if (isDamaged(error) || position >= end || numFailures >= MAX_RESUMES) throw this.inOurWords(error)
      } finally {
        body.destroy()
      }
      if (numFailures >= MAX_RESUMES) throw this.inOurWords(null)
      await this.options.clock.sleep(RESUME_WAIT_MS * 2 ** numFailures, signal)
    }
  }

  async list(prefix: string, afterKey: string | null, limit: number, signal: AbortSignal): Promise<readonly ObjectEntry[]> {
    checkPrefix(prefix)
    const { client, name } = this.options
    const entries: ObjectEntry[] = []
    let token: string | undefined
    while (entries.length < limit) {
      const page = new ListObjectsV2Command({
        Bucket: name,
        Prefix: prefix,
        MaxKeys: Math.min(MAX_PAGE, limit - entries.length),
        ...(token === undefined ? {} : { ContinuationToken: token }),
        ...(afterKey === null ? {} : { StartAfter: afterKey }),
      })
      const answer = await this.ask((abort) => client.send(page, abort), signal)
      for (const { Key = '', Size = 0, ETag, LastModified } of answer.Contents ?? []) {
        if (isKey(Key)) entries.push({ key: Key, numBytes: Size, etag: bare(ETag), modifiedMs: wholeSeconds(LastModified) })
      }
      token = answer.NextContinuationToken
      if (answer.IsTruncated !== true || token === undefined) break
    }
    return entries
  }

  /** S3 does not say whether there was one: asked before, and so only as true as the moment. */
  async delete(key: string, signal: AbortSignal): Promise<boolean> {
    const { client, name } = this.options
    if ((await this.head(key, signal)) === null) return false
    await this.ask((abort) => client.send(new DeleteObjectCommand({ Bucket: name, Key: key }), abort), signal)
    return true
  }

  /** False = there was one already, and there may be none. */
  private async putWhole(key: string, bytes: Buffer, { contentType, ifAbsent }: PutOptions, signal: AbortSignal): Promise<boolean> {
    const { client, name, sendsMd5 } = this.options
    const md5 = createHash('md5').update(bytes)
    const put = new PutObjectCommand({
      Bucket: name,
      Key: key,
      Body: bytes,
      ContentLength: bytes.length,
      ContentType: contentType,
      ...(sendsMd5 ? { ContentMD5: md5.copy().digest('base64') } : {}),
      ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
    })
    const send = async (abort: Abort): Promise<boolean> => {
      await client.send(put, abort)
      return true
    }
    return this.ask(send, signal, async (error) => {
      if (!ifAbsent || statusOf(error) !== 412) throw this.inOurWords(error)
      // An attempt of ours whose answer was lost may have been the one that won.
      const winner = attemptsOf(error) > 1 ? await this.head(key, signal) : null
      return winner?.etag === md5.digest('hex')
    })
  }

  private async metaOfNew(key: string, signal: AbortSignal): Promise<ObjectMeta> {
    const meta = await this.head(key, signal)
    if (meta === null) throw this.inOurWords(null)
    return meta
  }

  private async isThere(key: string, signal: AbortSignal): Promise<boolean> {
    return (await this.head(key, signal)) !== null
  }

  /** null = past the end. Throws resource_not_found. */
  private async get(
    key: string,
    { position, etag }: { readonly position: number; readonly etag: string | undefined },
    signal: AbortSignal,
  ): Promise<GetObjectCommandOutput | null> {
    const get = new GetObjectCommand({
      Bucket: this.options.name,
      Key: key,
      ...(position === 0 ? {} : { Range: `bytes=${position}-` }),
      ...(etag === undefined ? {} : { IfMatch: etag }),
    })
    return this.ask(
      (abort) => this.options.client.send(get, abort),
      signal,
      (error) => {
        if (statusOf(error) === 416) return null
        if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') throw new InferdError('resource_not_found', 'there is no such object')
        throw this.inOurWords(error)
      },
    )
  }

  /** `otherwise`: what a refusal means; store_failed unless it is said. Rejects with the signal's reason whatever else went wrong. */
  private async ask<T, Other = never>(
    send: (abort: Abort) => Promise<T>,
    signal: AbortSignal,
    otherwise: (error: unknown) => Other | Promise<Other> = (error) => {
      throw this.inOurWords(error)
    },
  ): Promise<T | Other> {
    signal.throwIfAborted()
    try {
      return await send({ abortSignal: signal })
    } catch (error) {
      signal.throwIfAborted()
      return otherwise(error)
    }
  }

  private inOurWords(error: unknown): InferdError {
    return s3Error(this.options.name, error)
  }
}

/** As an object's own headers say it; a list may know more. */
function wholeSeconds(date: Date | undefined): number {
  return Math.floor((date?.getTime() ?? 0) / 1000) * 1000
}

/** Without the quotes of HTTP. */
function bare(etag: string | undefined): string {
  return (etag ?? '').replace(/^W\//, '').replaceAll('"', '')
}
