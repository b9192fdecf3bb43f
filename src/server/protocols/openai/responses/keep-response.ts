/** How a call's answer gets into the archive: with its end when it is awaited, from its acceptance on when it runs in the background. */
import type { CallReport } from '#contract/call'
import type { ErrorRecord } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { ResponseArchive, ResponseStatus, StoredResponse } from '#contract/stored-response'
import type { GenerateOutcome } from '#server/generate-outcome'
import type { BackgroundCall, GenerateCall } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { encodeResponse, encodeUnfinished } from './encode-response.ts'
import { assistantMessage } from './turn-builder.ts'
import type { ResponsesCall } from './wire-types.ts'

type Keeping = Pick<GenerateCall, 'onComplete' | 'background'>

/** {} = nothing is kept. */
export function keepResponse(call: ResponsesCall, team: string, archive: ResponseArchive | null): Keeping {
  if (archive === null || !call.echo.store) return {}
  const key = { team, id: call.responseId }
  if (!call.echo.background) {
    return { onComplete: (outcome, report) => archive.add(stored(call, team, answerOf(call, outcome, report))) }
  }
  const background: BackgroundCall = {
    id: call.responseId,
    accept: () => archive.add(stored(call, team, { status: 'queued', body: encodeUnfinished(call, 'queued'), messages: call.turn })),
    onStart: () => archive.markRunning(key),
    onFailure: async (error: ErrorRecord) => {
      const isCancelled = error.code === 'cancelled'
      await archive.settle(key, { status: isCancelled ? 'cancelled' : 'failed', error: isCancelled ? null : error, answer: null })
    },
    encodeAccepted: () => jsonReply(encodeUnfinished(call, 'queued')),
  }
  return {
    background,
    onComplete: async (outcome, report) => {
      const { status, ...answer } = answerOf(call, outcome, report)
      await archive.settle(key, { status, error: null, answer })
    },
  }
}

interface Answer<Status extends ResponseStatus> {
  readonly status: Status
  readonly body: JsonRecord
  readonly messages: StoredResponse['messages']
}

function answerOf(call: ResponsesCall, outcome: GenerateOutcome, report: CallReport): Answer<'completed' | 'incomplete'> {
  const body = encodeResponse(call, outcome, report)
  const said = outcome.choices.map(({ text, reasoning, toolCalls }) => assistantMessage({ text, reasoning, toolCalls }))
  return { status: body.status === 'incomplete' ? 'incomplete' : 'completed', body, messages: [...call.turn, ...said] }
}

function stored(call: ResponsesCall, team: string, { status, body, messages }: Answer<ResponseStatus>): StoredResponse {
  return {
    id: call.responseId,
    team,
    model: call.model,
    previousId: call.echo.previous_response_id,
    status,
    createdMs: call.createdSeconds * 1000,
    isBackground: call.echo.background,
    error: null,
    body,
    inputItems: call.inputItems,
    messages,
  }
}
