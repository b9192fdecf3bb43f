/** The requests of a batch on their way in: each is looked at as it comes and kept as a line of a file, never all of them in memory. */
import { InferdError } from '#contract/errors'
import type { FileShelf, FileUpload } from '#contract/stored-file'
import { bodyText } from '#server/batch-lines'
import { Fields, invalid, isJsonObject } from '#server/fields'
import { streamArray } from '#server/json-array-stream'
import type { JsonObject } from '#server/operation'
import { MAX_REQUESTS } from './lines.ts'

export interface RequestsArguments {
  readonly chunks: AsyncIterable<Uint8Array>
  readonly files: FileShelf
  readonly team: string
  /** Of the batch. */
  readonly id: string
  readonly signal: AbortSignal
}

export interface KeptRequests {
  readonly fileId: string
  readonly numRequests: number
}

const LIMITS = { name: 'requests', maxItemBytes: 8 * 2 ** 20, maxBodyBytes: 256 * 2 ** 20 } as const
const CUSTOM_ID = /^[\w-]{1,64}$/
const PURPOSE = 'message_batch_input'
/** Longer than the batch and its results. */
const KEPT_S = 30 * 86_400
/** Lines are written together until there are so many characters. */
const WRITE_LENGTH = 256 * 1024

/** Throws invalid_parameter for the first request that is none. What is kept is on the disk when it resolves. */
export async function receiveRequests({ chunks, files, team, id, signal }: RequestsArguments): Promise<KeptRequests> {
  const upload = await files.receive(team)
  let isCommitted = false
  try {
    const numRequests = await writeLines(chunks, upload, signal)
    isCommitted = true
    const file = await upload.commit({ filename: `${id}_requests.jsonl`, purpose: PURPOSE, expiresAfterS: KEPT_S })
    return { fileId: file.id, numRequests }
  } finally {
    if (!isCommitted) await upload.abandon()
  }
}

async function writeLines(chunks: AsyncIterable<Uint8Array>, upload: FileUpload, signal: AbortSignal): Promise<number> {
  const customIds = new Set<string>()
  let pending = ''
  for await (const text of streamArray(chunks, LIMITS)) {
    signal.throwIfAborted()
    const place = `requests[${customIds.size}]`
    if (customIds.size >= MAX_REQUESTS) throw invalid('requests', `requests must have at most ${MAX_REQUESTS} items`)
    const { customId, line } = readRequest(text, place)
    if (customIds.has(customId)) throw invalid(`${place}.custom_id`, `${place}.custom_id is that of another request; each must be unique`)
    customIds.add(customId)
    pending += `${line}\n`
    if (pending.length < WRITE_LENGTH) continue
    await upload.write(Buffer.from(pending, 'utf8'))
    pending = ''
  }
  if (customIds.size === 0) throw invalid('requests', 'requests must have at least 1 item')
  await upload.write(Buffer.from(pending, 'utf8'))
  return customIds.size
}

/** `params` are judged when the request runs, as those of a call are. */
function readRequest(text: string, place: string): { readonly customId: string; readonly line: string } {
  const item = parse(text, place)
  const fields = new Fields(item, place)
  fields.check({ custom_id: 'read', params: 'read' })
  const customId = fields.requiredText('custom_id')
  if (!CUSTOM_ID.test(customId)) throw invalid(fields.pathOf('custom_id'), `${fields.pathOf('custom_id')} must have 1 to 64 letters, digits, - and _`)
  if (fields.nested('params') === null) throw fields.missing('params')
  const line = bodyText(item)
  if (line === null) throw malformed(place)
  return { customId, line }
}

function parse(text: string, place: string): JsonObject {
  try {
    const value = JSON.parse(text) as unknown
    if (isJsonObject(value)) return value
  } catch (cause) {
    throw malformed(place, cause)
  }
  throw malformed(place)
}

function malformed(place: string, cause?: unknown): InferdError {
  return new InferdError('malformed_body', `${place} is not valid JSON`, cause === undefined ? {} : { cause })
}
