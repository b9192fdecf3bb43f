/** The body of a streamed invocation: what the container writes, cut into `PayloadPart` frames; a failure is an exception frame. */
import { assert } from '#base/assert'
import type { ErrorRecord } from '#contract/errors'
import { EVENT_STREAM_TYPE, eventFrame, exceptionFrame } from '#server/aws-event-stream'
import type { EventStream, WireReply } from '#server/operation'
import { messageOf } from './encode-error.ts'

const PART_TYPE = 'PayloadPart'
const PART_CONTENT_TYPE = 'application/octet-stream'
const MAX_PART_BYTES = 2 ** 18
/** What of the container's answer is told in a header of its own. */
const CONTENT_TYPE_HEADER = 'x-amzn-sagemaker-content-type'

/** `inner` writes the container's own stream. */
export function streamInParts(inner: EventStream, headers: Readonly<Record<string, string>>): EventStream {
  return {
    headers: { ...partHeaders(inner.headers), ...headers },
    heartbeat: inner.heartbeat === null ? null : partFrame(inner.heartbeat),
    encode: (event) => {
      if (event.type === 'response-error') return failureFrame(event.error)
      const bytes = inner.encode(event)
      return bytes.length === 0 ? '' : partFrame(bytes)
    },
  }
}

/** An answer that is whole, for a caller who reads parts. */
export function replyInParts({ status, headers, body }: WireReply): WireReply {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  assert(bytes instanceof Uint8Array, 'an answer that is whole has all of its bytes')
  const frames: Uint8Array[] = []
  for (let start = 0; start < bytes.length; start += MAX_PART_BYTES) frames.push(partFrame(bytes.subarray(start, start + MAX_PART_BYTES)))
  return { status, headers: partHeaders(headers), body: Buffer.concat(frames) }
}

function partFrame(bytes: string | Uint8Array): Uint8Array {
  return eventFrame(PART_TYPE, bytes, PART_CONTENT_TYPE)
}

function partHeaders({ 'content-type': contentType = '', ...others }: Readonly<Record<string, string>>): Record<string, string> {
  return { ...others, 'content-type': EVENT_STREAM_TYPE, [CONTENT_TYPE_HEADER]: contentType }
}

function failureFrame(error: ErrorRecord): Uint8Array {
  const message = messageOf(error)
  if (error.code === 'internal') return exceptionFrame('InternalStreamFailure', JSON.stringify({ Message: message }))
  const code = error.code === 'deadline_exceeded' ? 'ModelInvocationTimeExceeded' : 'StreamBroken'
  return exceptionFrame('ModelStreamError', JSON.stringify({ Message: message, ErrorCode: code }))
}
