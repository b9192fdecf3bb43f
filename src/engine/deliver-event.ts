/** Turns one step event into one call of a request's sink. */
import { assert } from '#base/assert'
import type { StepOutput } from '#engine/kernels/kernels'
import type { LogprobsView } from '#engine/sampling/logprobs'
import type { ActiveRequest } from '#engine/scheduler/active-request'
import type { StepEvent } from '#engine/scheduler/step-events'

interface DeliveryContext {
  readonly request: ActiveRequest
  /** Of the step whose tokens are delivered; null outside of a step, when no token can be among the events. */
  readonly output: StepOutput | null
  /** Overwritten for each token that wants logprobs. */
  readonly logprobs: LogprobsView
}

/** Hot: per token. Throws whatever the sink throws. */
export function deliverEvent(event: StepEvent, context: DeliveryContext): void {
  const { request, output, logprobs } = context
  const { sink } = request
  switch (event.kind) {
    case 'start':
      sink.onStart(request.promptTokenIds.length, request.cachedTokens)
      break
    case 'token': {
      assert(output !== null, 'a token comes from a step')
      const { numTopLogprobs } = request.parameters
      if (numTopLogprobs >= 0) logprobs.fill(output, event.logitRow, numTopLogprobs)
      sink.onToken(event.choice, event.tokenId, numTopLogprobs < 0 ? null : logprobs)
      break
    }
    case 'choice-end':
      sink.onChoiceEnd(event.choice, event.reason, event.stopTokenId)
      break
    case 'embedding':
      assert(request.hiddenSum !== null, 'an embedding has a vector')
      sink.onEmbedding(request.hiddenSum)
      break
    case 'end':
      sink.onEnd(request.usage())
      break
    case 'error':
      assert(event.error !== null, 'an error event has its error')
      sink.onError(event.error, request.usage())
      break
  }
}
