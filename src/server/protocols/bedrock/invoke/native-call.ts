/** A decoded body of one of the model families that InvokeModel speaks, before the terms of Bedrock are put around it. */
import type { CallOptions, CallReport } from '#contract/call'
import type { GenerateEvent } from '#contract/generate'
import type { GenerateOutcome } from '#server/generate-outcome'
import type { DecodeContext, GenerateCall, Incoming, PlaceOf } from '#server/operation'

export interface NativeCall {
  readonly operation: GenerateCall['operation']
  readonly requests: GenerateCall['requests']
  readonly options: CallOptions
  readonly placeOf: PlaceOf
  /** One JSON object. */
  encodeBody(outcome: GenerateOutcome, report: CallReport): string
  /** Per event the JSON objects of its chunks; the terminal event has at least one. Failures do not come here. */
  startPieces(report: CallReport): (event: GenerateEvent) => readonly string[]
}

export interface NativeForm {
  readonly idPrefix: string
  decode(incoming: Incoming, context: DecodeContext, how: { readonly stream: boolean }): Promise<NativeCall> | NativeCall
}

/** An operation of another family of protocols, with the answer in JSON and the stream in server-sent events. */
export type ForeignOperation = (incoming: Incoming, context: DecodeContext) => Promise<GenerateCall> | GenerateCall

/** The families whose bodies travel through InvokeModel as they are. */
export interface ForeignOperations {
  /** Anthropic's messages. */
  readonly messages: ForeignOperation
  /** OpenAI's chat completions, which Mistral's chat and the open models of OpenAI share. */
  readonly chat: ForeignOperation
}
