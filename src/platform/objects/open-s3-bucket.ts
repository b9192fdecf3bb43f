/** A client of S3 that connects only to what the operator listed, signs with what the operator named, and waits for nothing for ever. */
import { S3Client } from '@aws-sdk/client-s3'
import type { Clock } from '#base/clock'
import type { S3Entry } from '#config/platform-file/objects'
import { readSecret } from '#config/read-secret'
import { InferdError } from '#contract/errors'
import type { Bucket } from '#contract/objects'
import type { Egress } from '#upstreams/egress'
import { S3Bucket } from './s3-bucket.ts'

export interface OpenS3Bucket {
  readonly name: string
  readonly entry: S3Entry
  readonly egress: Egress
  readonly clock: Clock
  readonly timeouts?: S3Timeouts
}

export interface S3Timeouts {
  readonly connectMs: number
  /** To the headers of the answer, with the sending of a part. */
  readonly answerMs: number
  /** Between two pieces of either. */
  readonly idleMs: number
}

const DEFAULT_TIMEOUTS: S3Timeouts = { connectMs: 5000, answerMs: 120_000, idleMs: 30_000 }
const MAX_ATTEMPTS = 4
const MAX_CONNECTIONS = 64

/** Connects to nothing. Throws invalid_parameter for a host that is not listed. */
export function openS3Bucket({ name, entry, egress, clock, timeouts = DEFAULT_TIMEOUTS }: OpenS3Bucket): { readonly bucket: Bucket; close(): void } {
  const { region, endpoint, forcePathStyle, checksums } = entry
  if (name.includes('.') && !forcePathStyle) throw refused(name, 'a name with a dot needs forcePathStyle')
  egress.checkUrl(addressOf(name, entry))
  const mode = checksums === 'when-supported' ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED'
  const agent = { lookup: egress.lookup, maxSockets: MAX_CONNECTIONS, keepAlive: true }
  const client = new S3Client({
    region,
    forcePathStyle,
    ...(endpoint === null ? {} : { endpoint }),
    credentials: {
      accessKeyId: readSecret(entry.accessKeyId),
      secretAccessKey: readSecret(entry.secretAccessKey),
      ...(entry.sessionToken === null ? {} : { sessionToken: readSecret(entry.sessionToken) }),
    },
    requestChecksumCalculation: mode,
    responseChecksumValidation: mode,
    // Nothing of the machine's files and variables is looked at for them.
    useArnRegion: false,
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    disableMultiregionAccessPoints: true,
    retryMode: 'standard',
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: {
      httpAgent: agent,
      httpsAgent: agent,
      connectionTimeout: timeouts.connectMs,
      requestTimeout: timeouts.answerMs,
      throwOnRequestTimeout: true,
      socketTimeout: timeouts.idleMs,
    },
  })
  judgeEachRequest(client, egress)
  return { bucket: new S3Bucket({ client, name, sendsMd5: checksums === 'when-required', clock }), close: () => client.destroy() }
}

/** The connector looks up names only: an address in the URL is judged here, as is wherever a client would go by itself. */
function judgeEachRequest(client: S3Client, egress: Egress): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const { protocol, hostname } = args.request as { readonly protocol: string; readonly hostname: string }
      await egress.addressOf(new URL(`${protocol}//${hostname}/`))
      return next(args)
    },
    { step: 'finalizeRequest', name: 'judgeAddress', priority: 'low' },
  )
}

/** Of the requests for this bucket. */
function addressOf(name: string, { region, endpoint, forcePathStyle }: S3Entry): string {
  const url = URL.parse(endpoint ?? `https://s3.${region}.amazonaws.com`)
  if (url === null) throw refused(name, 'endpoint is no URL')
  if (!forcePathStyle && !isAddress(url.hostname)) url.hostname = `${name}.${url.hostname}`
  return url.href
}

/** The client of S3 puts no name of a bucket before one. */
function isAddress(hostname: string): boolean {
  return /^\[|^\d+(\.\d+){3}$/.test(hostname)
}

function refused(name: string, words: string): InferdError {
  return new InferdError('invalid_parameter', `objects.buckets.${name}: ${words}`, { param: '--config' })
}
