/**
 * The family of text-generation-inference, for those who come from there: `/generate`, `/generate_stream`, `/info`. A body names no model
 * there; here the first model of the server answers, or the one in `x-inferd-model`.
 */
import { InferdError } from '#contract/errors'
import { invalid } from '#server/fields'
import type { Incoming, ListModels, ProtocolFamily, ProtocolRoute } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { encodeError } from './encode-error.ts'
import { textGenerationCall, textGenerationRoute } from './generate/route.ts'

type GenerateRoute = Extract<ProtocolRoute, { readonly kind: 'generate' }>

export const tgiFamily: ProtocolFamily = {
  name: 'tgi',
  pathPrefixes: ['/generate', '/info'],
  encodeError,
  routes: [
    generation('/generate', false),
    generation('/generate_stream', true),
    {
      kind: 'service',
      method: 'GET',
      path: '/info',
      handle: async (_incoming, { models, limits }) => {
        const [first] = models
        if (first === undefined) throw new InferdError('model_not_found', 'this server has no model')
        return jsonReply({ model_id: first.name, model_pipeline_tag: 'text-generation', max_stop_sequences: limits.maxStopStrings, router: 'inferd' })
      },
    },
  ],
}

/** One text in, one object out: a list of inputs is what SageMaker's containers take. */
function generation(path: string, stream: boolean): GenerateRoute {
  return {
    ...textGenerationRoute,
    method: 'POST',
    path,
    modelOf,
    decode: (incoming, context) => {
      const { body } = incoming
      if (Array.isArray(body['inputs'])) throw invalid('inputs', 'inputs must be a string')
      if (Object.hasOwn(body, 'stream') && body['stream'] !== stream) throw invalid('stream', `stream is ${stream} on ${path}`)
      return textGenerationCall({ ...incoming, body: { ...body, stream } }, context, ([only]) => only)
    },
  }
}

function modelOf({ headers }: Incoming, listModels: ListModels): string {
  const named = headers['x-inferd-model'] ?? listModels()[0]?.name
  if (named === undefined) throw new InferdError('model_not_found', 'this server has no model')
  return named
}
