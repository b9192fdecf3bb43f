/** The OpenAI family: every operation as a row. */
import { readCallOptions } from '#server/call-option-headers'
import { Fields } from '#server/fields'
import { holdState } from '#server/hold-state'
import type { ProtocolFamily } from '#server/operation'
import { sseStream } from '#server/sse'
import { jsonReply } from '#server/wire-reply'
import { batchRoutes } from './batches/routes.ts'
import { readOptionFields } from './call-options.ts'
import { decodeChatRequest } from './chat/decode-request.ts'
import { encodeChatResponse } from './chat/encode-response.ts'
import { startChatStream, stepChatStream } from './chat/encode-stream.ts'
import { decodeCompletionRequest } from './completions/decode-request.ts'
import { encodeCompletionResponse } from './completions/encode-response.ts'
import { startCompletionStream, stepCompletionStream } from './completions/encode-stream.ts'
import { decodeEmbeddingRequest } from './embeddings/decode-request.ts'
import { encodeEmbeddingResponse } from './embeddings/encode-response.ts'
import { encodeError } from './encode-error.ts'
import { readModelName } from './model-field.ts'
import { encodeModel, encodeModelList } from './models/encode-response.ts'
import { fileRoutes } from './files/routes.ts'
import { callerPlace, COMPLETION_WORDS, promptPaths } from './places.ts'
import { responseRoutes } from './responses/routes.ts'

export const openaiFamily: ProtocolFamily = {
  name: 'openai',
  pathPrefixes: ['/v1/'],
  encodeError,
  routes: [
    {
      kind: 'generate',
      method: 'POST',
      path: '/v1/chat/completions',
      idPrefix: 'chatcmpl',
      modelOf: ({ body }) => readModelName(body),
      decode: ({ body, headers }, context) => {
        const call = decodeChatRequest(body, context)
        return {
          stream: call.stream,
          operation: 'chat',
          requests: [call.request],
          options: readOptionFields(new Fields(body), headers),
          placeOf: (place) => callerPlace(place, call.words),
          encodeResponse: (outcome, report) => jsonReply(encodeChatResponse(call, outcome, report)),
          startStream: (report) => sseStream(holdState(startChatStream(call, report), stepChatStream)),
        }
      },
    },
    {
      kind: 'generate',
      method: 'POST',
      path: '/v1/completions',
      idPrefix: 'cmpl',
      modelOf: ({ body }) => readModelName(body),
      decode: ({ body, headers }, context) => {
        const call = decodeCompletionRequest(body, context)
        return {
          stream: call.stream,
          operation: 'text_completion',
          requests: call.requests,
          options: readOptionFields(new Fields(body), headers),
          placeOf: (place) => callerPlace(place, call.words),
          encodeResponse: (outcome, report) => jsonReply(encodeCompletionResponse(call, outcome, report)),
          startStream: (report) => sseStream(holdState(startCompletionStream(call, report), stepCompletionStream)),
        }
      },
    },
    {
      kind: 'embed',
      method: 'POST',
      path: '/v1/embeddings',
      idPrefix: 'embd',
      modelOf: ({ body }) => readModelName(body),
      decode: ({ body, headers }, context) => {
        const call = decodeEmbeddingRequest(body, context)
        return {
          request: call.request,
          options: readCallOptions(headers),
          placeOf: (place) =>
            callerPlace(place, { ...COMPLETION_WORDS, promptPath: promptPaths('input', call.hasInputList ? call.request.inputs.length : null) }),
          encodeResponse: (result) => jsonReply(encodeEmbeddingResponse(call, result)),
        }
      },
    },
    ...responseRoutes,
    ...fileRoutes,
    ...batchRoutes,
    { kind: 'list-models', method: 'GET', path: '/v1/models', encode: (cards) => jsonReply(encodeModelList(cards)) },
    { kind: 'get-model', method: 'GET', path: '/v1/models/*', encode: (card) => jsonReply(encodeModel(card)) },
  ],
}
