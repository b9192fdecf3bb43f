/** What became of an invocation that is answered later: asked, followed, taken back. */
import { InferdError } from '#contract/errors'
import type { Invocation, Invocations } from '#contract/invocation'
import { encodeInvocation } from '#server/invocation-view'
import type { Incoming, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { SSE_REPLY_HEADERS, sseEvent } from '#server/sse'
import { jsonReply } from '#server/wire-reply'

const KEEP_ALIVE = ': keep-alive\n\n'

export const INVOCATION_ROUTES: readonly ProtocolRoute[] = [
  {
    kind: 'service',
    method: 'GET',
    path: '/async/:id',
    handle: (incoming, context) => show(incoming, context, (invocations, id) => invocations.get(context.principal.team, id)),
  },
  { kind: 'service', method: 'DELETE', path: '/async/:id', handle: cancel },
  { kind: 'service', method: 'POST', path: '/async/:id/cancel', bodyKind: 'none', handle: cancel },
  {
    kind: 'service',
    method: 'GET',
    path: '/async/:id/events',
    handle: async (incoming, context) => {
      const { team } = context.principal
      const invocations = portOf(context)
      const id = idOf(incoming)
      if ((await invocations.get(team, id)) === null) throw notFound()
      return { status: 200, headers: SSE_REPLY_HEADERS, body: frames(invocations.follow(team, id, context.signal), context.signal) }
    },
  },
]

function cancel(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  return show(incoming, context, (invocations, id) => invocations.cancel(context.principal.team, id))
}

async function show(
  incoming: Incoming,
  context: ServiceContext,
  find: (invocations: Invocations, id: string) => Promise<Invocation | null>,
): Promise<WireReply> {
  const invocation = await find(portOf(context), idOf(incoming))
  if (invocation === null) throw notFound()
  return jsonReply(encodeInvocation(invocation))
}

/** One frame at each change; the name of the event is the state. At the deadline, or when the server stops, it ends as it is: it may be asked again. */
async function* frames(changes: AsyncIterable<Invocation | null>, signal: AbortSignal): AsyncGenerator<string> {
  try {
    for await (const invocation of changes)
      yield invocation === null ? KEEP_ALIVE : sseEvent(invocation.state, JSON.stringify(encodeInvocation(invocation)))
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function portOf({ services }: ServiceContext): Invocations {
  if (services.invocations === null) throw new InferdError('route_not_found', 'this server keeps no jobs')
  return services.invocations
}

function idOf({ params }: Incoming): string {
  return params['id'] ?? ''
}

function notFound(): InferdError {
  return new InferdError('resource_not_found', 'there is no such invocation')
}
