/** The body of a text generation that was not streamed: one object for each text of `inputs`. */
import type { FinishReason, TokenLogprob } from '#contract/generate'
import type { ChoiceOutcome, GenerateOutcome } from '#server/generate-outcome'
import type { TextGenerationCall, WireDetails, WireFinishReason, WireGeneration, WireToken } from './wire-types.ts'

export function encodeTextGeneration(call: TextGenerationCall, { choices, usage }: GenerateOutcome): readonly WireGeneration[] {
  return choices.map((choice, index) => {
    const prompt = call.returnFullText ? (call.inputs[index] ?? '') : ''
    const numTokens = choices.length === 1 ? usage.completionTokens : (choice.logprobs?.length ?? 0)
    return {
      // One text: reasoning, if the model is known to write it, comes first.
      generated_text: prompt + choice.reasoning + choice.text,
      ...(call.details ? { details: detailsOf(call, choice, numTokens) } : {}),
    }
  })
}

export function encodeFinishReason(reason: FinishReason, stopString: string | null): WireFinishReason {
  switch (reason) {
    case 'length':
      return 'length'
    case 'stop':
    case 'tool-calls':
      return stopString === null ? 'eos_token' : 'stop_sequence'
    case 'content-filter':
    case 'degenerate':
      return 'content_filter'
  }
}

export function encodeToken({ tokenId, text, logprob }: Pick<TokenLogprob, 'tokenId' | 'text' | 'logprob'>): WireToken {
  return { id: tokenId, text, logprob, special: false }
}

function detailsOf(call: TextGenerationCall, { finishReason, stopString, logprobs }: ChoiceOutcome, numTokens: number): WireDetails {
  const tokens = logprobs ?? []
  return {
    finish_reason: encodeFinishReason(finishReason, stopString),
    generated_tokens: numTokens,
    seed: call.seed,
    prefill: [],
    tokens: tokens.map(encodeToken),
    ...(call.numTopTokens === 0 ? {} : { top_tokens: tokens.map(({ top }) => top.map(encodeToken)) }),
  }
}
