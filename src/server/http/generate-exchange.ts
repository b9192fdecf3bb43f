/** Runs one generation call against its model and answers it, whole or as a stream. */
import { assert } from '#base/assert'
import { fromErrorRecord, InferdError, toErrorRecord } from '#contract/errors'
import type { CallReport } from '#contract/call'
import { type GenerateEvent, NO_USAGE } from '#contract/generate'
import { type GenerateOutcome, OutcomeCollector } from '#server/generate-outcome'
import type { EventStream, GenerateCall } from '#server/operation'
import { generateAll, type StartRequest } from './merge-events.ts'
import { placeError } from './place-error.ts'
import type { RequestScope } from './request-scope.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { StreamWriter } from './stream-writer.ts'

export interface GenerateExchange {
  readonly call: GenerateCall
  readonly start: StartRequest
  readonly scope: RequestScope
  readonly report: CallReport
}

/** `logprobMemory` is counted in entries and shared by all answers that are held until they are whole. Throws InferdError. */
export async function generateWhole({ call, start, scope, report }: GenerateExchange, logprobMemory: MemoryBudget): Promise<GenerateOutcome> {
  try {
    const outcome = await scope.race(collect(call, generateAll(start, call.requests, scope.signal), logprobMemory))
    if (call.onComplete !== undefined) await scope.race(call.onComplete(outcome, report))
    return outcome
  } catch (error) {
    throw placeError(error, call.placeOf)
  }
}

/**
 * Errors before the first byte are thrown, so that they get their own status; later ones end the stream with an error event.
 * `response-start` is held back until the first event behind it for the same reason. Returns the error the stream ended with.
 */
export async function generateStream({ call, start, scope, report }: GenerateExchange, { encode, writer }: OpenStream): Promise<unknown> {
  try {
    await scope.race(pump({ events: observed(generateAll(start, call.requests, scope.signal), call, report), encode, writer, scope }))
    writer.end()
    return null
  } catch (cause) {
    const error = placeError(cause, call.placeOf)
    scope.abort(error instanceof InferdError ? error : new InferdError('internal', 'internal error', { cause: error }))
    if (!writer.opened) {
      writer.abandon()
      throw error
    }
    if (error instanceof InferdError && error.code === 'cancelled') {
      writer.cut()
    } else {
      await writer.write(
        encode({
          type: 'response-error',
          error: toErrorRecord(error),
          usage: NO_USAGE,
        }),
      )
      writer.end()
    }
    return error
  }
}

export interface OpenStream {
  readonly encode: EventStream['encode']
  readonly writer: StreamWriter
}

async function collect(call: GenerateCall, events: AsyncIterable<GenerateEvent>, logprobMemory: MemoryBudget): Promise<GenerateOutcome> {
  const collector = newCollector(call)
  let numHeldEntries = 0
  try {
    for await (const event of events) {
      const numEntries = countEntries(event)
      if (!logprobMemory.take(numEntries))
        throw new InferdError('overloaded', 'the server holds too many logprobs of unfinished answers; ask for a stream')
      numHeldEntries += numEntries
      collector.add(event)
      if (event.type === 'response-end') break
    }
    return collector.finish()
  } finally {
    logprobMemory.release(numHeldEntries)
  }
}

/** Collects the answer of a stream whose call wants it whole at the end; the terminal event waits until the call has seen it. */
function observed(events: AsyncIterable<GenerateEvent>, call: GenerateCall, report: CallReport): AsyncIterable<GenerateEvent> {
  const { onComplete } = call
  return onComplete === undefined ? events : collectBeside(events, newCollector(call), (outcome) => onComplete(outcome, report))
}

async function* collectBeside(
  events: AsyncIterable<GenerateEvent>,
  collector: OutcomeCollector,
  onComplete: (outcome: GenerateOutcome) => Promise<void>,
): AsyncGenerator<GenerateEvent> {
  for await (const event of events) {
    if (event.type !== 'response-error') collector.add(event)
    if (event.type === 'response-end') await onComplete(collector.finish())
    yield event
  }
}

export function newCollector({ requests }: GenerateCall): OutcomeCollector {
  const numChoices = requests.reduce((sum, request) => sum + request.numChoices, 0)
  return new OutcomeCollector({ numChoices, logprobs: requests[0]?.numTopLogprobs != null })
}

function countEntries(event: GenerateEvent): number {
  if ((event.type !== 'text-delta' && event.type !== 'reasoning-delta') || event.logprobs === null) return 0
  return event.logprobs.reduce((sum, { top }) => sum + 1 + top.length, 0)
}

interface PumpArguments extends OpenStream {
  readonly events: AsyncIterable<GenerateEvent>
  readonly scope: RequestScope
}

async function pump({ events, encode, writer, scope }: PumpArguments): Promise<void> {
  let held: string | Uint8Array = ''
  let lastType: GenerateEvent['type'] | null = null
  for await (const event of events) {
    if (scope.signal.aborted) return
    lastType = event.type
    if (event.type === 'response-error') throw fromErrorRecord(event.error)
    const bytes = encode(event)
    if (event.type === 'response-start') {
      held = bytes
      continue
    }
    const heldDrained = writer.write(held)
    if (heldDrained !== null) await waitForReader(heldDrained, scope)
    held = ''
    const drained = writer.write(bytes)
    if (drained !== null) await waitForReader(drained, scope)
    if (event.type === 'response-end') break
  }
  assert(lastType === 'response-end' || scope.signal.aborted, 'a response ended without its terminal event')
}

/** A reader that stalled: the model's signal aborts before the iteration is left. */
async function waitForReader(drained: Promise<void>, scope: RequestScope): Promise<void> {
  try {
    await drained
  } catch (error) {
    if (error instanceof InferdError) scope.abort(error)
    throw error
  }
}
