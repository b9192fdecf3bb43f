/** The writable side of an answer: the response itself in HTTP/1.1, its stream in HTTP/2, whose compatibility form hides some of it. */
import type { ServerResponse } from 'node:http'
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

export function isHttp2(response: ServerResponse | Http2ServerResponse): response is Http2ServerResponse {
  return 'stream' in response
}
