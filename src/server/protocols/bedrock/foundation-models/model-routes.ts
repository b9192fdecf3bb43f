/** ListFoundationModels and GetFoundationModel: the models of this server as Bedrock's control plane shows them. */
import { InferdError } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { Incoming, ModelCard, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { modelName } from '#server/protocols/bedrock/model-id'
import { jsonReply } from '#server/wire-reply'

const ARN_PREFIX = 'arn:aws:bedrock:local::foundation-model/'
const PROVIDER = 'inferd'

export const modelRoutes: readonly ProtocolRoute[] = [
  { kind: 'service', method: 'GET', path: '/foundation-models', handle: list },
  { kind: 'service', method: 'GET', path: '/foundation-models/:modelId', handle: get },
]

/** Filters keep what this server has one kind of, or nothing. */
async function list({ query }: Incoming, { models, services, requestId }: ServiceContext): Promise<WireReply> {
  const sold = services.provisioned?.models ?? []
  const filters: Readonly<Record<string, readonly string[]>> = {
    byProvider: [PROVIDER],
    byCustomizationType: [],
    byOutputModality: ['TEXT', 'EMBEDDING'],
    byInferenceType: ['ON_DEMAND', 'PROVISIONED'],
  }
  const isKept = Object.entries(filters).every(([name, words]) => {
    const word = query.get(name)
    return word === null || words.includes(word)
  })
  const asked = query.get('byInferenceType') === 'PROVISIONED' ? models.filter(({ name }) => sold.includes(name)) : models
  return jsonReply({ modelSummaries: isKept ? asked.map((card) => encodeCard(card, sold)) : [] }, 200, { 'x-amzn-requestid': requestId })
}

async function get({ params }: Incoming, { models, services, requestId }: ServiceContext): Promise<WireReply> {
  const name = modelName(params['modelId'] ?? '')
  const card = models.find((each) => each.name === name)
  if (card === undefined) throw new InferdError('model_not_found', 'the model does not exist on this server')
  return jsonReply({ modelDetails: encodeCard(card, services.provisioned?.models ?? []) }, 200, { 'x-amzn-requestid': requestId })
}

export function foundationModelArn(name: string): string {
  return `${ARN_PREFIX}${name}`
}

/** `sold`: models of which units of throughput are sold. */
function encodeCard({ name, createdSeconds }: ModelCard, sold: readonly string[]): JsonRecord {
  return {
    modelArn: foundationModelArn(name),
    modelId: name,
    modelName: name,
    providerName: PROVIDER,
    inputModalities: ['TEXT'],
    outputModalities: ['TEXT', 'EMBEDDING'],
    responseStreamingSupported: true,
    customizationsSupported: [],
    inferenceTypesSupported: sold.includes(name) ? ['ON_DEMAND', 'PROVISIONED'] : ['ON_DEMAND'],
    modelLifecycle: { status: 'ACTIVE', startOfLifeTime: new Date(createdSeconds * 1000).toISOString() },
  }
}
