/** Text generation as a call: what a container of Hugging Face does with a body that has `inputs`. */
import { holdState } from '#server/hold-state'
import { readCallOptions } from '#server/call-option-headers'
import type { DecodeContext, GenerateCall, Incoming, ProtocolRoute } from '#server/operation'
import { sseStream } from '#server/sse'
import { jsonReply } from '#server/wire-reply'
import { decodeTextGeneration } from './decode-request.ts'
import { encodeTextGeneration } from './encode-response.ts'
import { startTextGenerationStream, stepTextGenerationStream } from './encode-stream.ts'
import { callerPlace } from './places.ts'
import type { WireGeneration } from './wire-types.ts'

/** As SageMaker's containers take it: any number of inputs, a list as the answer. */
export const textGenerationRoute: Pick<Extract<ProtocolRoute, { readonly kind: 'generate' }>, 'kind' | 'idPrefix' | 'decode'> = {
  kind: 'generate',
  idPrefix: 'gen',
  decode: (incoming, context) => textGenerationCall(incoming, context, (generations) => generations),
}

/** `answer`: what a whole answer is of the generations, one for each of the inputs. */
export function textGenerationCall(
  { body, headers }: Pick<Incoming, 'body' | 'headers'>,
  context: DecodeContext,
  answer: (generations: readonly WireGeneration[]) => unknown,
): GenerateCall {
  const call = decodeTextGeneration(body, context)
  return {
    stream: call.stream,
    operation: 'text_completion',
    requests: call.requests,
    options: readCallOptions(headers),
    placeOf: (place) => callerPlace(place, call.hasInputList),
    encodeResponse: (outcome) => jsonReply(answer(encodeTextGeneration(call, outcome))),
    startStream: () => sseStream(holdState(startTextGenerationStream(call), stepTextGenerationStream)),
  }
}
