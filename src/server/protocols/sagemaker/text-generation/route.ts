/** Text generation as a route of its own: what a container of Hugging Face does with a body that has `inputs`. */
import { holdState } from '#server/hold-state'
import { readCallOptions } from '#server/call-option-headers'
import type { ProtocolRoute } from '#server/operation'
import { sseStream } from '#server/sse'
import { jsonReply } from '#server/wire-reply'
import { decodeTextGeneration } from './decode-request.ts'
import { encodeTextGeneration } from './encode-response.ts'
import { startTextGenerationStream, stepTextGenerationStream } from './encode-stream.ts'
import { callerPlace } from './places.ts'

export const textGenerationRoute: Pick<Extract<ProtocolRoute, { readonly kind: 'generate' }>, 'kind' | 'idPrefix' | 'decode'> = {
  kind: 'generate',
  idPrefix: 'gen',
  decode: ({ body, headers }, context) => {
    const call = decodeTextGeneration(body, context)
    return {
      stream: call.stream,
      operation: 'text_completion',
      requests: call.requests,
      options: readCallOptions(headers),
      placeOf: (place) => callerPlace(place, call.hasInputList),
      encodeResponse: (outcome) => jsonReply(encodeTextGeneration(call, outcome)),
      startStream: () => sseStream(holdState(startTextGenerationStream(call), stepTextGenerationStream)),
    }
  },
}
