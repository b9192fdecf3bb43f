/** What InvokeModel says around a native body: terms in `X-Amzn-Bedrock-*` headers and, of guardrails, in a field of the body. */
import type { CallOptions } from '#contract/call'
import { Fields, invalid, unsupported } from '#server/fields'
import type { Incoming, JsonObject } from '#server/operation'
import { checkLatency, guardrailOf, tierOf } from '#server/protocols/bedrock/call-terms'

const IDENTIFIER = 'x-amzn-bedrock-guardrailidentifier'
const VERSION = 'x-amzn-bedrock-guardrailversion'
const TRACE = 'x-amzn-bedrock-trace'
const LATENCY = 'x-amzn-bedrock-performanceconfig-latency'
const TIER = 'x-amzn-bedrock-service-tier'
const GUARDRAIL_CONFIG = 'amazon-bedrock-guardrailConfig'
const TRACES = ['enabled', 'disabled', 'enabled_full']

export interface InvokeTerms {
  readonly options: Partial<CallOptions>
  readonly namesLatency: boolean
  readonly namesTier: boolean
  readonly namesGuardrail: boolean
}

/** The body as the model's family knows it, and what stood around it. Throws with the header's or the field's name. */
export function takeTerms(incoming: Incoming): { readonly incoming: Incoming; readonly terms: InvokeTerms } {
  const { headers } = incoming
  const { [GUARDRAIL_CONFIG]: config, ...body } = incoming.body
  const latency = headers[LATENCY]
  if (latency !== undefined) checkLatency(latency, LATENCY)
  const tier = headers[TIER]
  const trace = headers[TRACE]?.toLowerCase() ?? null
  if (trace !== null && !TRACES.includes(trace)) throw invalid(TRACE, `${TRACE} must be ENABLED, DISABLED or ENABLED_FULL`)
  const guardrail = guardrailOf(
    {
      identifier: headers[IDENTIFIER] ?? null,
      version: headers[VERSION] ?? null,
      trace,
      streaming: config === undefined ? null : readStreaming(incoming.body),
      content: null,
    },
    { identifier: IDENTIFIER, version: VERSION },
  )
  if (config !== undefined && guardrail === null)
    throw invalid(GUARDRAIL_CONFIG, `${GUARDRAIL_CONFIG} is only allowed when ${IDENTIFIER} names a guardrail`)
  return {
    incoming: { ...incoming, body },
    terms: {
      options: { ...(guardrail === null ? {} : { guardrail }), ...(tier === undefined ? {} : { tier: tierOf(tier, TIER) }) },
      namesLatency: latency !== undefined,
      namesTier: tier !== undefined,
      namesGuardrail: guardrail !== null,
    },
  }
}

function readStreaming(body: JsonObject): 'sync' | 'async' {
  const config = new Fields(body).requiredFields(GUARDRAIL_CONFIG)
  if (config.value('tagSuffix') !== undefined) {
    const path = config.pathOf('tagSuffix')
    throw unsupported(path, `${path}: tags inside of prompts are not supported by this server; use guardContent of Converse`)
  }
  config.check({ streamProcessingMode: 'read' })
  return config.word('streamProcessingMode', ['SYNCHRONOUS', 'ASYNCHRONOUS']) === 'ASYNCHRONOUS' ? 'async' : 'sync'
}
