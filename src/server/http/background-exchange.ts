/** A generation call that goes on without its connection: it is made known, answered at once, and its end is kept by the call itself. */
import { fromErrorRecord, InferdError, toErrorRecord } from '#contract/errors'
import { type GenerateEvent, NO_USAGE } from '#contract/generate'
import type { BackgroundCall, WireReply } from '#server/operation'
import type { ServerServices } from '#server/services'
import { splitFrames } from '#server/sse'
import { type GenerateExchange, newCollector } from './generate-exchange.ts'
import { generateAll } from './merge-events.ts'
import { placeError } from './place-error.ts'
import type { ServerLog } from './server-options.ts'

interface BackgroundContext {
  readonly services: ServerServices
  readonly log: ServerLog
}

/** A stream's connection is one follower of the run like any other. Throws overloaded. */
export async function startInBackground(exchange: GenerateExchange, background: BackgroundCall, context: BackgroundContext): Promise<WireReply> {
  const { call, scope, report } = exchange
  const { background: runs } = context.services
  if (runs === null) throw new InferdError('unsupported_parameter', 'this server keeps no responses, so that none can run in the background')
  const { team } = scope.principal
  const key = { team, id: background.id }
  const stream = call.stream ? call.startStream(report) : null
  const work = async (signal: AbortSignal, note: (frame: string) => void): Promise<void> => {
    const encode = (event: GenerateEvent): void => {
      if (stream !== null) for (const frame of splitFrames(String(stream.encode(event)))) note(frame)
    }
    try {
      await background.onStart()
      await runToEnd(exchange, signal, encode)
    } catch (cause) {
      const error = toErrorRecord(placeError(signal.aborted ? signal.reason : cause, call.placeOf))
      context.log.warn({ requestId: scope.id, code: error.code }, 'background response ended with an error')
      await background.onFailure(error).catch((failure: unknown) => {
        context.log.error({ requestId: scope.id, code: toErrorRecord(failure).code }, 'the end of a background response could not be kept')
      })
      // Kept before it is told: an encoder that failed once may fail again.
      encode({ type: 'response-error', error, usage: NO_USAGE })
    }
  }
  await runs.start({ ...key, prepare: background.accept, work })
  const frames = stream === null ? null : runs.follow(key, -1, scope.signal)
  return stream === null || frames === null ? background.encodeAccepted() : { status: 200, headers: stream.headers, body: frames }
}

async function runToEnd({ call, start, report }: GenerateExchange, signal: AbortSignal, encode: (event: GenerateEvent) => void): Promise<void> {
  const collector = newCollector(call)
  for await (const event of generateAll(start, call.requests, signal)) {
    signal.throwIfAborted()
    if (event.type === 'response-error') throw fromErrorRecord(event.error)
    collector.add(event)
    if (event.type === 'response-end') await call.onComplete?.(collector.finish(), report)
    encode(event)
    if (event.type === 'response-end') return
  }
  throw new InferdError('internal', 'a response ended without its terminal event')
}
