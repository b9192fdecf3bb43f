/** Invocations that are answered later: AWS's own call, and ours with the payload as its body. Both answer when the order is on the disk. */
import { InferdError } from '#contract/errors'
import type { Invocation, InvocationOrder } from '#contract/invocation'
import type { Incoming, ProtocolRoute, ServiceContext } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { encodeInvocation } from '#server/invocation-view'
import { readAsyncOrder, readPayloadOrder } from './async-order.ts'

const PREFIX = 'x-amzn-sagemaker-'

export const ASYNC_ROUTES: readonly ProtocolRoute[] = [
  {
    kind: 'service',
    method: 'POST',
    path: '/endpoints/:endpoint/async-invocations',
    bodyKind: 'bytes',
    handle: async (incoming, context) => {
      const invocation = await accept(readAsyncOrder, incoming, context)
      return jsonReply({ InferenceId: invocation.inferenceId }, 202, locationHeaders(invocation))
    },
  },
  {
    kind: 'service',
    method: 'POST',
    path: '/endpoints/:endpoint/async',
    bodyKind: 'stream',
    handle: async (incoming, context) => {
      const invocation = await accept(readPayloadOrder, incoming, context)
      return jsonReply(encodeInvocation(invocation), 202, { ...locationHeaders(invocation), location: `/async/${invocation.id}` })
    },
  },
]

type ReadOrder = (incoming: Incoming, context: ServiceContext) => InvocationOrder

async function accept(read: ReadOrder, incoming: Incoming, context: ServiceContext): Promise<Invocation> {
  const { invocations } = context.services
  if (invocations === null)
    throw new InferdError('unsupported_parameter', 'InvokeEndpointAsync is not offered by this server; use InvokeEndpoint', {
      param: `${PREFIX}inputlocation`,
    })
  return invocations.accept(read(incoming, context), context.signal).catch((error: unknown) => {
    throw ofEnvelope(error)
  })
}

/** What the platform finds at fault in an order is a location: the body has not been looked at. */
function ofEnvelope(error: unknown): unknown {
  if (!(error instanceof InferdError) || error.code !== 'invalid_parameter') return error
  return new InferdError(error.code, error.message, { param: `${PREFIX}inputlocation`, cause: error })
}

function locationHeaders({ id, outputLocation, failureLocation }: Invocation): Readonly<Record<string, string>> {
  return { [`${PREFIX}outputlocation`]: outputLocation, [`${PREFIX}failurelocation`]: failureLocation, 'x-inferd-invocation': id }
}
