/** The operations on responses. */
import { holdState } from '#server/hold-state'
import type { ProtocolRoute } from '#server/operation'
import { callerPlace } from '#server/protocols/openai/places'
import { readModelName } from '#server/protocols/openai/model-field'
import { sseStream } from '#server/sse'
import { jsonReply } from '#server/wire-reply'
import { decodeResponsesRequest } from './decode-request.ts'
import { encodeResponse } from './encode-response.ts'
import { startResponsesStream, stepResponsesStream } from './encode-stream.ts'
import { keepResponse } from './keep-response.ts'
import { cancelResponse, deleteResponse, getResponse, listInputItems } from './read-back.ts'

export const responseRoutes: readonly ProtocolRoute[] = [
  {
    kind: 'generate',
    method: 'POST',
    path: '/v1/responses',
    idPrefix: 'resp_',
    modelOf: ({ body }) => readModelName(body),
    decode: async (incoming, context) => {
      const call = await decodeResponsesRequest(incoming, context)
      return {
        stream: call.stream,
        operation: 'chat',
        requests: [call.request],
        options: call.options,
        placeOf: (place) => callerPlace(place, call.words),
        encodeResponse: (outcome, report) => jsonReply(encodeResponse(call, outcome, report)),
        startStream: (report) => sseStream(holdState(startResponsesStream(call, report), stepResponsesStream)),
        ...keepResponse(call, context.principal.team, context.services.responses),
      }
    },
  },
  {
    kind: 'count',
    method: 'POST',
    path: '/v1/responses/input_tokens',
    idPrefix: 'resp_',
    modelOf: ({ body }) => readModelName(body),
    decode: async (incoming, context) => {
      const { request, words } = await decodeResponsesRequest(incoming, context)
      return {
        request,
        placeOf: (place) => callerPlace(place, words),
        encodeResponse: (numTokens) => jsonReply({ object: 'response.input_tokens', input_tokens: numTokens }),
      }
    },
  },
  { kind: 'service', method: 'GET', path: '/v1/responses/:response_id', handle: getResponse },
  { kind: 'service', method: 'DELETE', path: '/v1/responses/:response_id', handle: deleteResponse },
  { kind: 'service', method: 'POST', path: '/v1/responses/:response_id/cancel', bodyKind: 'none', handle: cancelResponse },
  { kind: 'service', method: 'GET', path: '/v1/responses/:response_id/input_items', handle: listInputItems },
]
