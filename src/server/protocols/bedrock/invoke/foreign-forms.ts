/** Bodies of Anthropic and of chat, handed to the operations that own them; their events become chunks. */
import { assert } from '#base/assert'
import type { JsonObject } from '#server/operation'
import { Fields, invalid, unsupported } from '#server/fields'
import { modelName, readModelName } from '#server/protocols/bedrock/model-id'
import type { ForeignOperation, NativeCall, NativeForm } from './native-call.ts'

const ANTHROPIC_VERSION = 'bedrock-2023-05-31'
const DONE = '[DONE]'

export function anthropicForm(operation: ForeignOperation): NativeForm {
  return {
    idPrefix: 'msg_bdrk_',
    decode: async (incoming, context, { stream }) => {
      const { anthropic_version: version, anthropic_beta: betas, ...body } = incoming.body
      if (version !== ANTHROPIC_VERSION) throw invalid('anthropic_version', `anthropic_version must be ${ANTHROPIC_VERSION}`)
      if (betas !== undefined && !(Array.isArray(betas) && betas.length === 0)) {
        throw unsupported('anthropic_beta', 'anthropic_beta is not supported by this server')
      }
      for (const key of ['model', 'stream']) {
        if (Object.hasOwn(body, key)) throw invalid(key, `unrecognized argument: ${key}: the path says it`)
      }
      return nativeCall(operation, { ...incoming, body: { ...body, model: readModelName(incoming), stream } }, context)
    },
  }
}

export function chatForm(operation: ForeignOperation): NativeForm {
  return {
    idPrefix: 'chatcmpl',
    decode: async (incoming, context, { stream }) => {
      const fields = new Fields(incoming.body)
      const name = readModelName(incoming)
      const named = fields.text('model')
      if (named !== null && modelName(named) !== name) throw invalid('model', 'model is not the model of the path')
      if (!stream && fields.boolean('stream') === true) throw invalid('stream', 'stream: use InvokeModelWithResponseStream')
      const call = await nativeCall(operation, { ...incoming, body: chatBody(incoming.body, name, stream) }, context)
      return {
        ...call,
        encodeBody: (outcome, report) => withStopReasons(call.encodeBody(outcome, report)),
        startPieces: (report) => {
          const pieces = call.startPieces(report)
          return (event) => (event.type === 'choice-end' ? pieces(event).map(withStopReasons) : pieces(event))
        },
      }
    },
  }
}

/** Mistral's word for a call that must be made is `any`. */
function chatBody(body: JsonObject, model: string, stream: boolean): JsonObject {
  const choice = body['tool_choice'] === 'any' ? { tool_choice: 'required' } : {}
  return { ...body, ...choice, model, stream, ...(stream ? { stream_options: { include_usage: true } } : {}) }
}

/** Mistral's clients read `stop_reason` where those of OpenAI read `finish_reason`. */
function withStopReasons(json: string): string {
  const body = JSON.parse(json) as { readonly choices: readonly { readonly finish_reason: unknown }[] }
  return JSON.stringify({ ...body, choices: body.choices.map((choice) => ({ ...choice, stop_reason: choice.finish_reason })) })
}

async function nativeCall(operation: ForeignOperation, ...[incoming, context]: Parameters<ForeignOperation>): Promise<NativeCall> {
  const call = await operation(incoming, context)
  return {
    operation: call.operation,
    requests: call.requests,
    options: call.options,
    placeOf: call.placeOf,
    encodeBody: (outcome, report) => {
      const { body } = call.encodeResponse(outcome, report)
      assert(typeof body === 'string', 'an answer in JSON is text')
      return body
    },
    startPieces: (report) => {
      const { encode } = call.startStream(report)
      return (event) => dataOf(encode(event))
    },
  }
}

/** The data of whole server-sent events; JSON has no raw line break. */
function dataOf(frames: string | Uint8Array): string[] {
  const text = typeof frames === 'string' ? frames : Buffer.from(frames).toString()
  return text.split('\n').flatMap((line) => (line.startsWith('data: ') && line !== `data: ${DONE}` ? [line.slice('data: '.length)] : []))
}
