/** The Anthropic family: every operation as a row. Its clients send `anthropic-version`, which tells their `/v1/models` from OpenAI's. */
import { holdState } from '#server/hold-state'
import type { Incoming, ProtocolFamily } from '#server/operation'
import { namedSseStream } from '#server/sse'
import { jsonReply } from '#server/wire-reply'
import { encodeError } from './encode-error.ts'
import { messageBatchRoutes } from './message-batches/routes.ts'
import { decodeCountRequest, decodeMessagesRequest, readModelName } from './messages/decode-request.ts'
import { encodeMessage } from './messages/encode-response.ts'
import { startMessageStream, stepMessageStream } from './messages/encode-stream.ts'
import { encodeModel, encodeModelPage } from './models/encode-response.ts'
import { callerPlace } from './places.ts'

const VERSION_HEADER = 'anthropic-version'

const isOurs = (headers: Incoming['headers']): boolean => headers[VERSION_HEADER] !== undefined

export const anthropicFamily: ProtocolFamily = {
  name: 'anthropic',
  pathPrefixes: ['/v1/messages'],
  headerMark: { name: VERSION_HEADER, pathPrefix: '/v1/' },
  encodeError,
  routes: [
    {
      kind: 'generate',
      method: 'POST',
      path: '/v1/messages',
      idPrefix: 'msg_',
      modelOf: readModelName,
      decode: (incoming, context) => {
        const call = decodeMessagesRequest(incoming, context)
        return {
          stream: call.stream,
          operation: 'chat',
          requests: [call.request],
          options: call.options,
          placeOf: callerPlace,
          encodeResponse: (outcome, report) => jsonReply(encodeMessage(call, outcome, report), 200, { 'request-id': call.requestId }),
          startStream: (report) => namedSseStream(holdState(startMessageStream(call, report), stepMessageStream), { 'request-id': call.requestId }),
        }
      },
    },
    {
      kind: 'count',
      method: 'POST',
      path: '/v1/messages/count_tokens',
      idPrefix: 'cnt_',
      modelOf: readModelName,
      decode: (incoming, context) => ({
        request: decodeCountRequest(incoming, context),
        placeOf: callerPlace,
        encodeResponse: (numTokens) => jsonReply({ input_tokens: numTokens }, 200, { 'request-id': context.requestId }),
      }),
    },
    ...messageBatchRoutes,
    {
      kind: 'list-models',
      method: 'GET',
      path: '/v1/models',
      matches: isOurs,
      encode: (cards, incoming, requestId) => jsonReply(encodeModelPage(cards, incoming), 200, { 'request-id': requestId }),
    },
    {
      kind: 'get-model',
      method: 'GET',
      path: '/v1/models/*',
      matches: isOurs,
      encode: (card, requestId) => jsonReply(encodeModel(card), 200, { 'request-id': requestId }),
    },
  ],
}
