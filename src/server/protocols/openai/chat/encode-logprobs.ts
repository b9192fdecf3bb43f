/** Token logprobs in the form of chat completions. */
import type { TokenLogprob } from '#contract/generate'
import type { WireLogprobs, WireTokenLogprob } from './wire-types.ts'

export function encodeChatLogprobs(logprobs: readonly TokenLogprob[] | null): WireLogprobs | null {
  return logprobs === null ? null : { content: logprobs.map(encodeToken), refusal: null }
}

function encodeToken({ text, bytes, logprob, top }: TokenLogprob): WireTokenLogprob {
  return {
    token: text,
    logprob,
    bytes,
    top_logprobs: top.map((other) => ({ token: other.text, logprob: other.logprob, bytes: other.bytes })),
  }
}
