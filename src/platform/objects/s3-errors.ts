/** What S3 or the way to it says, in words for operator and caller. */
import { InferdError } from '#contract/errors'

/** HTTP status of a refusal; 0 = there was no answer. */
export function statusOf(error: unknown): number {
  const status = (error as { $metadata?: { httpStatusCode?: unknown } } | null)?.$metadata?.httpStatusCode
  return typeof status === 'number' ? status : 0
}

/** How often it was asked before it was given up. */
export function attemptsOf(error: unknown): number {
  const attempts = (error as { $metadata?: { attempts?: unknown } } | null)?.$metadata?.attempts
  return typeof attempts === 'number' ? attempts : 1
}

/** The code in the answer's document, as `NoSuchBucket`. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}

/** All of it came, and its checksum is another: it may not go on from where it was. */
export function isDamaged(error: unknown): boolean {
  return error instanceof Error && /^checksum mismatch/i.test(error.message)
}

/** store_failed, whatever it was. No host, no key and no credential is in the words. */
export function s3Error(bucketName: string, error: unknown): InferdError {
  const words = `the bucket '${bucketName}' failed: ${wordsOf(error)}`
  return new InferdError('store_failed', words, { cause: error })
}

/** The client calls them time-outs too. */
const IS_BROKEN = ['ECONNRESET', 'EPIPE']

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}

function wordsOf(error: unknown): string {
  if (error instanceof InferdError) return 'its host may not be connected to'
  const status = statusOf(error)
  const name = nameOf(error)
  if (name === 'NoSuchBucket') return 'it does not exist in the object store'
  if (name === 'BadDigest' || isDamaged(error)) return 'what arrived is not what was sent'
  if (status === 401 || status === 403) return `the object store refused these credentials or what they asked for (${status} ${name})`
  if (status === 301 || status === 307) return 'it lies in another region than is configured'
  if (status === 429 || status === 503) return `the object store wants fewer requests (${status})`
  if (status >= 500) return `the object store failed (${status})`
  if (status >= 400) return `the object store refused a request (${status} ${name})`
  if (/timeout/i.test(name) && !IS_BROKEN.includes(codeOf(error))) return 'the object store took too long'
  return 'the object store cannot be reached'
}
