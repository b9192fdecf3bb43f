/** The body of a Converse answer. */
import { assert } from '#base/assert'
import type { CallReport } from '#contract/call'
import type { JsonValue } from '#contract/generate'
import type { ChoiceOutcome, GenerateOutcome } from '#server/generate-outcome'
import { encodeEnding, encodeStopReason, responseFields } from './encode-ending.ts'
import type { ConverseCall, WireBlock } from './wire-types.ts'

export function encodeConverse(call: ConverseCall, { choices, usage }: GenerateOutcome, report: CallReport): object {
  const [choice] = choices
  assert(choice !== undefined && choices.length === 1, 'a message is one choice')
  return {
    output: { message: { role: 'assistant', content: encodeBlocks(choice) } },
    stopReason: encodeStopReason(choice.finishReason, choice.stopString),
    ...encodeEnding(call, usage, report),
    ...responseFields(call, choice.stopString),
  }
}

function encodeBlocks({ reasoning, text, toolCalls }: ChoiceOutcome): WireBlock[] {
  return [
    ...(reasoning === '' ? [] : [{ reasoningContent: { reasoningText: { text: reasoning } } }]),
    ...(text === '' ? [] : [{ text }]),
    ...toolCalls.map(({ id, name, arguments: argumentsText }) => ({ toolUse: { toolUseId: id, name, input: parseInput(argumentsText) } })),
  ]
}

/** A call that was cut has no whole input; the stop reason says so. */
function parseInput(argumentsText: string): JsonValue {
  try {
    return JSON.parse(argumentsText) as JsonValue
  } catch {
    return {}
  }
}
