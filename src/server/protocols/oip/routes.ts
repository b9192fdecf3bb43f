/**
 * The Open Inference Protocol v2 for text, as KServe and Triton clients speak it: `generate`, `generate_stream`, `infer` with a BYTES
 * tensor, health and metadata. Source: the protocol's REST definition and its generate extension.
 */
import { InferdError } from '#contract/errors'
import { type FinishReason, type GenerateEvent, type TokenLogprob } from '#contract/generate'
import { readCallOptions } from '#server/call-option-headers'
import type { ChoiceOutcome } from '#server/generate-outcome'
import type { GenerateCall, Incoming, ModelCard, ProtocolFamily, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { sseFrame, sseStream } from '#server/sse'
import { jsonReply } from '#server/wire-reply'
import { decodeGenerate, decodeInfer, type OipCall } from './decode-request.ts'
import { encodeError, encodeErrorBody } from './encode-error.ts'

type GenerateRoute = Extract<ProtocolRoute, { readonly kind: 'generate' }>

const WORDS: Readonly<Record<string, string>> = {
  maxTokens: 'parameters.max_tokens',
  stopStrings: 'parameters.stop',
  'sampling.temperature': 'parameters.temperature',
  'sampling.topK': 'parameters.top_k',
  'sampling.topP': 'parameters.top_p',
}

export const oipFamily: ProtocolFamily = {
  name: 'oip',
  pathPrefixes: ['/v2/', '/v2'],
  encodeError,
  routes: [
    generation('generate', (incoming, context) => wholeCall(decodeGenerate(incoming.body, context), incoming, encodeGenerated)),
    generation('infer', (incoming, context) => wholeCall(decodeInfer(incoming.body, context), incoming, encodeInferred)),
    generation('generate_stream', (incoming, context) => streamedCall(decodeGenerate(incoming.body, context), incoming)),
    service('/v2', () => jsonReply({ name: 'inferd', version: '2', extensions: ['generate'] })),
    service('/v2/health/live', () => jsonReply({ live: true })),
    service('/v2/health/ready', (_incoming, { models }) => {
      const ready = models.length > 0 && models.every(isCallable)
      return jsonReply({ ready }, ready ? 200 : 503)
    }),
    service('/v2/models/:model', (incoming, context) => jsonReply(metadataOf(find(incoming, context)))),
    service('/v2/models/:model/ready', (incoming, context) => {
      const model = find(incoming, context)
      const ready = isCallable(model)
      return jsonReply({ name: model.name, ready }, ready ? 200 : 503)
    }),
  ],
}

/** A model that sleeps wakes when it is called. */
function isCallable({ state }: ServiceContext['models'][number]): boolean {
  return state.kind === 'ready' || state.kind === 'asleep'
}

function generation(operation: string, decode: GenerateRoute['decode']): ProtocolRoute {
  const modelOf = ({ params }: Incoming): string => params['model'] ?? ''
  return { kind: 'generate', method: 'POST', path: `/v2/models/:model/${operation}`, idPrefix: 'oip', modelOf, decode }
}

function service(path: string, answer: (incoming: Incoming, context: ServiceContext) => WireReply): ProtocolRoute {
  return { kind: 'service', method: 'GET', path, handle: async (incoming, context) => answer(incoming, context) }
}

function wholeCall(call: OipCall, incoming: Incoming, encode: (call: OipCall, choices: readonly ChoiceOutcome[]) => object): GenerateCall {
  return {
    stream: false,
    operation: 'text_completion',
    requests: call.requests,
    options: readCallOptions(incoming.headers),
    placeOf,
    encodeResponse: ({ choices }) => jsonReply(encode(call, choices)),
    startStream: () => sseStream(() => ''),
  }
}

function streamedCall(call: OipCall, incoming: Incoming): GenerateCall {
  return { ...wholeCall(call, incoming, encodeGenerated), stream: true, startStream: () => sseStream((event) => encodePiece(call, event)) }
}

function placeOf(place: string): string {
  const field = place.replace(/^requests\[\d+\]\./, '')
  return WORDS[field] ?? (/^(?:input|prompt)/.test(field) ? 'text_input' : field)
}

/** Without a version: models have none here, and the protocol wants none then. */
const headOf = ({ id, model }: OipCall): object => ({ ...(id === null ? {} : { id }), model_name: model })

function encodeGenerated(call: OipCall, [choice]: readonly ChoiceOutcome[]): object {
  const { text = '', reasoning = '', finishReason = 'stop', logprobs = null } = choice ?? {}
  const details = call.details ? { details: { finish_reason: reasonOf(finishReason), logprobs: (logprobs ?? []).map(tokenOf) } } : {}
  return { ...headOf(call), text_output: reasoning + text, ...details }
}

function encodeInferred(call: OipCall, choices: readonly ChoiceOutcome[]): object {
  const data = choices.map(({ reasoning, text }) => reasoning + text)
  return { ...headOf(call), outputs: [{ name: 'text_output', datatype: 'BYTES', shape: [data.length], data }] }
}

/** Hot: per token. A frame for each piece of text, and one with the reason. */
function encodePiece(call: OipCall, event: GenerateEvent): string {
  switch (event.type) {
    case 'text-delta':
    case 'reasoning-delta': {
      const details = call.details ? { details: { logprobs: (event.logprobs ?? []).map(tokenOf) } } : {}
      return sseFrame(JSON.stringify({ ...headOf(call), text_output: event.text, done: false, ...details }))
    }
    case 'choice-end':
      return sseFrame(JSON.stringify({ ...headOf(call), text_output: '', done: true, details: { finish_reason: reasonOf(event.finishReason) } }))
    case 'response-error':
      return sseFrame(encodeErrorBody(event.error))
    default:
      return ''
  }
}

function tokenOf({ tokenId, text, logprob }: TokenLogprob): object {
  return { id: tokenId, text, logprob, special: false }
}

function reasonOf(reason: FinishReason): string {
  return reason === 'content-filter' || reason === 'degenerate' ? 'content_filter' : reason === 'length' ? 'length' : 'stop'
}

function find({ params }: Incoming, { models }: ServiceContext): ModelCard {
  const model = models.find(({ name }) => name === params['model'])
  if (model === undefined) throw new InferdError('model_not_found', 'the model does not exist on this server', { param: 'model' })
  return model
}

function metadataOf({ name }: ModelCard): object {
  const tensor = (tensorName: string): object => ({ name: tensorName, datatype: 'BYTES', shape: [-1] })
  return { name, platform: 'inferd', inputs: [tensor('text_input')], outputs: [tensor('text_output')] }
}
