/** The writable side of an answer: the response itself in HTTP/1.1, its stream in HTTP/2, whose compatibility form hides some of it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerResponse } from 'node:http2'
import type { Writable } from 'node:stream'

export type AnswerStream = Pick<Writable, 'destroyed' | 'writableFinished' | 'writableNeedDrain' | 'writableLength' | 'on' | 'once' | 'off'>

export function answerStream(response: ServerResponse): AnswerStream {
  return isHttp2(response) ? response.stream : response
}

/** Asked when the answer has closed: whether all of it left. In HTTP/2 a reset stream looks finished. */
export function isComplete(response: ServerResponse): boolean {
  if (!isHttp2(response)) return response.writableFinished
  const { stream } = response
  return stream.writableFinished && !stream.aborted && stream.rstCode === constants.NGHTTP2_NO_ERROR
}

/** Closes an answer so that nobody can take it for whole: the connection in HTTP/1.1, its stream alone in HTTP/2. */
export function cutAnswer(response: ServerResponse): void {
  if (isHttp2(response)) response.stream.close(constants.NGHTTP2_CANCEL)
  else response.destroy()
}

/** Ends an answer that is whole on the wire while its request may still arrive: RFC 9113, section 8.1, has a code for that. */
export function dropRest(response: ServerResponse): void {
  if (isHttp2(response)) response.stream.close(constants.NGHTTP2_NO_ERROR)
  else response.end()
}

/** Whether a body was announced. HTTP/2 has a flag for requests without one, and no need of a length. */
export function hasBody({ headers }: IncomingMessage, response: ServerResponse): boolean {
  if (isHttp2(response)) return !response.stream.endAfterHeaders
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

export function isHttp2(response: ServerResponse | Http2ServerResponse): response is Http2ServerResponse {
  return 'stream' in response
}
