/** A large object in parts: visible when all of them are there and it is completed, and never before. */
import { createHash } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { damaged } from './disk-errors.ts'
import type { PutOptions } from '#contract/objects'
import { s3Error, statusOf } from './s3-errors.ts'

export interface PartsUpload {
  readonly client: S3Client
  readonly name: string
  readonly sendsMd5: boolean
  readonly key: string
  readonly first: Buffer
  /** Of the same size, the last one shorter. What it throws is thrown on. */
  readonly rest: AsyncIterable<Buffer>
  readonly put: PutOptions
  /** For stores that complete an upload whatever is there already: asked at the last moment. */
  readonly isThere: () => Promise<boolean>
}

interface OpenUpload extends PartsUpload {
  readonly uploadId: string
}

/** False = there was an object already. Throws store_failed; then, and when the signal aborts, its parts are given back. */
export async function uploadParts(upload: PartsUpload, signal: AbortSignal): Promise<boolean> {
  const open = { ...upload, uploadId: await create(upload, signal) }
  let isDone = false
  try {
    const parts = [await sendPart(open, { number: 1, bytes: upload.first }, signal)]
    for await (const bytes of upload.rest) parts.push(await sendPart(open, { number: parts.length + 1, bytes }, signal))
    if (upload.put.ifAbsent && (await upload.isThere())) return false
    isDone = await complete(open, parts, signal)
    return isDone
  } finally {
    if (!isDone) await giveBack(open)
  }
}

async function create({ client, name, key, put }: PartsUpload, signal: AbortSignal): Promise<string> {
  const command = new CreateMultipartUploadCommand({ Bucket: name, Key: key, ContentType: put.contentType })
  const { UploadId } = await inOurWords(name, signal, () => client.send(command, { abortSignal: signal }))
  if (UploadId === undefined) throw damaged(name, 'the object store began no upload')
  return UploadId
}

async function sendPart(
  { client, name, key, uploadId, sendsMd5 }: OpenUpload,
  { number, bytes }: { readonly number: number; readonly bytes: Buffer },
  signal: AbortSignal,
): Promise<CompletedPart> {
  const command = new UploadPartCommand({
    Bucket: name,
    Key: key,
    UploadId: uploadId,
    PartNumber: number,
    Body: bytes,
    ContentLength: bytes.length,
    ...(sendsMd5 ? { ContentMD5: createHash('md5').update(bytes).digest('base64') } : {}),
  })
  const { ETag, ChecksumCRC32 } = await inOurWords(name, signal, () => client.send(command, { abortSignal: signal }))
  return { PartNumber: number, ETag, ChecksumCRC32 }
}

async function complete({ client, name, key, uploadId, put }: OpenUpload, parts: CompletedPart[], signal: AbortSignal): Promise<boolean> {
  const command = new CompleteMultipartUploadCommand({
    Bucket: name,
    Key: key,
    UploadId: uploadId,
    MultipartUpload: { Parts: parts },
    ...(put.ifAbsent ? { IfNoneMatch: '*' } : {}),
  })
  try {
    await client.send(command, { abortSignal: signal })
    return true
  } catch (error) {
    signal.throwIfAborted()
    if (put.ifAbsent && statusOf(error) === 412) return false
    throw s3Error(name, error)
  }
}

/** What cannot be given back is the store's own rule for unfinished uploads to clean. */
async function giveBack({ client, name, key, uploadId }: OpenUpload): Promise<void> {
  await client.send(new AbortMultipartUploadCommand({ Bucket: name, Key: key, UploadId: uploadId })).catch(() => {})
}

async function inOurWords<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  try {
    return await work()
  } catch (error) {
    signal.throwIfAborted()
    throw s3Error(name, error)
  }
}
