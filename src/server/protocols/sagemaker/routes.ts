/**
 * The SageMaker family: an envelope around bodies of other dialects. SageMaker itself hands a body to the endpoint's container and knows
 * nothing of it; so here a body goes to the route that speaks its dialect, and that route's answer goes back in the envelope.
 */
import { InferdError, toErrorRecord } from '#contract/errors'
import { invalid } from '#server/fields'
import type { EmbedCall, GenerateCall, Incoming, ProtocolFamily, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { ASYNC_ROUTES } from './async-routes.ts'
import { answerOperation } from '#server/aws-json/answer-operation'
import { encodeControlError } from './control/control-error.ts'
import { ENDPOINT_CONFIG_OPERATIONS } from './control/endpoint-config-operations.ts'
import { ENDPOINT_OPERATIONS } from './control/endpoint-operations.ts'
import { MODEL_OPERATIONS } from './control/model-operations.ts'
import { TAG_OPERATIONS } from './control/tag-operations.ts'
import { TRANSFORM_OPERATIONS } from './control/transform-operations.ts'
import { encodeError } from './encode-error.ts'
import { modelOfTarget, variantName } from './endpoint-model.ts'
import { answerHeaders, type Envelope, readEnvelope, readTarget } from './envelope.ts'
import { replyInParts, streamInParts } from './payload-parts.ts'

type GenerateRoute = Extract<ProtocolRoute, { readonly kind: 'generate' }>
type EmbedRoute = Extract<ProtocolRoute, { readonly kind: 'embed' }>

/** Who reads the bodies that are not our own, by the field that tells them apart. */
export interface BodyDialects {
  /** Of bodies with `messages`. */
  readonly messages: Pick<GenerateRoute, 'kind' | 'idPrefix' | 'decode'>
  /** Of bodies with `inputs`. */
  readonly inputs: Pick<GenerateRoute, 'kind' | 'idPrefix' | 'decode'>
  /** Of bodies with `input`. */
  readonly input: Pick<EmbedRoute, 'kind' | 'idPrefix' | 'decode'>
}

/** bare: the container's own answer. parts: the same in frames of an event stream. */
type Transport = 'bare' | 'parts'

const BODY_KINDS = ['inputs', 'messages', 'input'] as const
const CONTROL_PLANE = 'SageMaker.'
const CONTROL_OPERATIONS = { ...TRANSFORM_OPERATIONS, ...MODEL_OPERATIONS, ...ENDPOINT_CONFIG_OPERATIONS, ...ENDPOINT_OPERATIONS, ...TAG_OPERATIONS }

export function sagemakerFamily(dialects: BodyDialects): ProtocolFamily {
  return {
    name: 'sagemaker',
    pathPrefixes: ['/endpoints/', '/invocations', '/ping'],
    encodeError,
    routes: [
      invocationRoute('/endpoints/:endpoint/invocations', dialects, 'bare'),
      invocationRoute('/endpoints/:endpoint/invocations-response-stream', dialects, 'parts'),
      invocationRoute('/invocations', dialects, 'bare'),
      ...ASYNC_ROUTES,
      {
        kind: 'service',
        method: 'POST',
        path: '/',
        bodyKind: 'bytes',
        handle: controlPlane,
      },
    ],
  }
}

function invocationRoute(path: string, { messages, inputs, input }: BodyDialects, transport: Transport): ProtocolRoute {
  const base = { method: 'POST', path } as const
  const modelOf: GenerateRoute['modelOf'] = (incoming, listModels) =>
    modelOfTarget(
      readTarget(incoming),
      listModels().map(({ name }) => name),
    )
  const generate = (dialect: BodyDialects['messages']): GenerateRoute => ({
    ...base,
    ...dialect,
    modelOf,
    decode: async (incoming, context) => {
      const envelope = readEnvelope(incoming)
      const call = await dialect.decode(incoming, context)
      return enveloped(call, transport, envelope, (model) => answerHeaders(envelope, model ?? context.model, context))
    },
  })
  const chat = generate({ ...messages, decode: (incoming, context) => messages.decode(withModel(incoming, context.model), context) })
  const text = generate(inputs)
  const embed: EmbedRoute = {
    ...base,
    ...input,
    modelOf,
    decode: (incoming, context) => {
      const envelope = readEnvelope(incoming)
      const call = input.decode(withModel(incoming, context.model), context)
      return envelopedEmbedding(call, transport, envelope, (model) => answerHeaders(envelope, model ?? context.model, context))
    },
  }
  return {
    ...base,
    kind: 'dispatch',
    choose: ({ body }) => {
      const [kind, other] = BODY_KINDS.filter((key) => Object.hasOwn(body, key))
      if (kind === undefined) throw invalid('inputs', 'the body must have inputs (text generation), messages (chat) or input (embeddings)')
      if (other !== undefined) throw invalid(other, `${kind} and ${other} are of different kinds of bodies; give only one`)
      return { inputs: text, messages: chat, input: embed }[kind]
    },
  }
}

type HeadersOf = (servedBy: string | null) => Readonly<Record<string, string>>

function enveloped(call: GenerateCall, transport: Transport, { labels }: Envelope, headersOf: HeadersOf): GenerateCall {
  return {
    ...call,
    options: { ...call.options, metadata: { ...call.options.metadata, ...labels } },
    encodeResponse: (outcome, report) => sealed(call.encodeResponse(outcome, report), transport, headersOf(report.servedBy)),
    startStream: (report) => {
      const stream = call.startStream(report)
      const headers = headersOf(report.servedBy)
      return transport === 'parts' ? streamInParts(stream, headers) : { ...stream, headers: { ...stream.headers, ...headers } }
    },
  }
}

function envelopedEmbedding(call: EmbedCall, transport: Transport, { labels }: Envelope, headersOf: HeadersOf): EmbedCall {
  return {
    ...call,
    options: { ...call.options, metadata: { ...call.options.metadata, ...labels } },
    encodeResponse: (result, report) => sealed(call.encodeResponse(result, report), transport, headersOf(report.servedBy)),
  }
}

function sealed(reply: WireReply, transport: Transport, headers: Readonly<Record<string, string>>): WireReply {
  const { status, headers: inner, body } = transport === 'parts' ? replyInParts(reply) : reply
  return { status, headers: { ...inner, ...headers }, body }
}

/** A body may leave its `model` out; one that it names is the one that answers. */
function withModel(incoming: Incoming, model: string): Incoming {
  const { body } = incoming
  const named = Object.hasOwn(body, 'model') ? body['model'] : null
  if (named !== null && named !== model && named !== variantName(model))
    throw invalid('model', `model must be left out or be ${JSON.stringify(model)}, which this endpoint serves`)
  return { ...incoming, body: { ...body, model } }
}

/** `POST /` with a target is the control plane; without one it is no route of ours. */
async function controlPlane(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const target = incoming.headers['x-amz-target'] ?? ''
  if (!target.startsWith(CONTROL_PLANE)) throw new InferdError('route_not_found', 'no such route: POST /')
  const operation = target.slice(CONTROL_PLANE.length)
  const known = Object.hasOwn(CONTROL_OPERATIONS, operation) ? CONTROL_OPERATIONS[operation] : undefined
  return known === undefined
    ? refuseOperation(operation.replace(/\W/g, '').slice(0, 64), context)
    : answerOperation(known, encodeControlError, incoming, context)
}

function refuseOperation(operation: string, { requestId }: ServiceContext): WireReply {
  const refusal = new InferdError(
    'unsupported_parameter',
    `the operation ${operation} of the SageMaker control plane is not offered by this server`,
    {
      param: 'x-amz-target',
    },
  )
  const { status, headers: errorHeaders, body } = encodeError(toErrorRecord(refusal), requestId)
  return { status, headers: { ...errorHeaders, 'content-type': 'application/x-amz-json-1.1' }, body }
}
