/** The Bedrock family: the runtime's operations, and of the control plane those of guardrails, models, batches and provisioned throughput. */
import { EVENT_STREAM_TYPE } from '#server/aws-event-stream'
import { holdState } from '#server/hold-state'
import type { ProtocolFamily, ProtocolRoute } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { applyGuardrail } from './apply-guardrail.ts'
import { decodeConverse } from './converse/decode-request.ts'
import { encodeConverse } from './converse/encode-response.ts'
import { startConverseStream, stepConverseStream } from './converse/encode-stream.ts'
import { decodeCount } from './count-tokens.ts'
import { encodeError } from './encode-error.ts'
import { modelRoutes } from './foundation-models/model-routes.ts'
import { guardrailRoutes } from './guardrails/guardrail-routes.ts'
import { invokeRoute, nativeForms } from './invoke/invoke-routes.ts'
import type { ForeignOperations } from './invoke/native-call.ts'
import { readModelName } from './model-id.ts'
import { modelInvocationJobRoutes } from './model-invocation-jobs/routes.ts'
import { conversePlace } from './places.ts'
import { throughputRoutes } from './provisioned/throughput-routes.ts'

/** `foreign`: the operations of other families whose bodies InvokeModel carries. */
export function bedrockFamily(foreign: ForeignOperations): ProtocolFamily {
  const forms = nativeForms(foreign)
  return {
    name: 'bedrock',
    pathPrefixes: [
      '/model/',
      '/guardrail/',
      '/guardrails',
      '/foundation-models',
      '/model-invocation-job',
      '/model-invocation-jobs',
      '/provisioned-model-throughput',
      '/provisioned-model-throughputs',
      '/listTagsForResource',
      '/tagResource',
      '/untagResource',
    ],
    encodeError,
    routes: [
      converseRoute('/model/:modelId/converse', { stream: false }),
      converseRoute('/model/:modelId/converse-stream', { stream: true }),
      invokeRoute(forms, { stream: false }),
      invokeRoute(forms, { stream: true }),
      {
        kind: 'count',
        method: 'POST',
        path: '/model/:modelId/count-tokens',
        idPrefix: 'cnt_',
        modelOf: readModelName,
        decode: (incoming, context) => decodeCount(incoming, context, forms),
      },
      { kind: 'service', method: 'POST', path: '/guardrail/:guardrailId/version/:version/apply', handle: applyGuardrail },
      ...guardrailRoutes,
      ...modelRoutes,
      ...modelInvocationJobRoutes,
      ...throughputRoutes,
    ],
  }
}

function converseRoute(path: string, { stream }: { readonly stream: boolean }): ProtocolRoute {
  return {
    kind: 'generate',
    method: 'POST',
    path,
    idPrefix: 'msg_bdrk_',
    modelOf: readModelName,
    decode: (incoming, context) => {
      const call = decodeConverse(incoming, context, { stream })
      const headers = { 'x-amzn-requestid': context.requestId }
      return {
        stream,
        operation: 'chat',
        requests: [call.request],
        options: call.options,
        placeOf: conversePlace,
        encodeResponse: (outcome, report) => jsonReply(encodeConverse(call, outcome, report), 200, headers),
        startStream: (report) => ({
          headers: { 'content-type': EVENT_STREAM_TYPE, ...headers },
          heartbeat: null,
          encode: holdState(startConverseStream(call, report), stepConverseStream),
        }),
      }
    },
  }
}
