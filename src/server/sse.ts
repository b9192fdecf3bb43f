/** Server-sent events (WHATWG HTML, section 9.2): the head, the frames and the comments of a stream. */
import type { GenerateEvent } from '#contract/generate'
import type { EventStream } from '#server/operation'

const SSE_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  // Read by nginx: without it the proxy collects the stream.
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
}

/** A comment: clients skip it, proxies see traffic. */
const SSE_HEARTBEAT = ': keep-alive\n\n'

/** `json` must be one line: JSON.stringify never writes a raw line break. */
export function sseFrame(json: string): string {
  return `data: ${json}\n\n`
}

/** A frame with a name, as Anthropic's clients tell them apart. */
export function sseEvent(name: string, json: string): string {
  return `event: ${name}\ndata: ${json}\n\n`
}

/** Whole frames, each with its end. */
export function splitFrames(text: string): readonly string[] {
  return text.match(/[^]+?\n\n/g) ?? []
}

/** A stream without the pings of `namedSseStream`: a comment keeps it alive. */
export const SSE_REPLY_HEADERS: Readonly<Record<string, string>> = SSE_HEADERS

/** Frames with names; `headers` join those of every stream. */
export function namedSseStream(encode: (event: GenerateEvent) => string, headers: Readonly<Record<string, string>>): EventStream {
  return { headers: { ...SSE_HEADERS, ...headers }, heartbeat: sseEvent('ping', '{"type":"ping"}'), encode }
}

/** `encode` returns whole frames, or '' for an event that has none. */
export function sseStream(encode: (event: GenerateEvent) => string): EventStream {
  return { headers: SSE_HEADERS, heartbeat: SSE_HEARTBEAT, encode }
}
