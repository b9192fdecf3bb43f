/** CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs, DeleteEndpointConfig. */
import type { AsyncTerms, EndpointConfig, ServerlessTerms, VariantSpec } from '#contract/deployment'
import { Fields, invalid, unsupported } from '#server/fields'
import type { JsonObject, ServiceContext } from '#server/operation'
import type { AwsJsonOperation } from '#server/aws-json/answer-operation'
import { readAsyncTerms } from './async-inference.ts'
import { readCapture } from './data-capture.ts'
import { CREATE_CONFIG, nameMember } from './deployment-members.ts'
import { arnOf, deskFor, need, requireNew, seconds, validated } from './deployments.ts'
import { checkMembers } from '#server/aws-json/member-rules'
import { listMembers, pageOfNamed } from './named-page.ts'
import { keepTags, readTags } from './tags.ts'

const LIST = listMembers([])
const KIND = 'endpoint-config'
const MEMBER = 'EndpointConfigName'
/** Refused by name: a copy of `KNOWN_TO_AWS` says that they are known. */
const REFUSED = ['ExplainerConfig', 'VpcConfig', 'MetricsConfig']
const IDLE_TIMEOUT_MS = 300_000

export const ENDPOINT_CONFIG_OPERATIONS: Readonly<Record<string, AwsJsonOperation>> = {
  CreateEndpointConfig: async (body, context) => {
    const desk = deskFor(context, 'operate')
    const config = readConfig(body, context.principal.team)
    const tags = readTags(body)
    checkAsyncFolders(config.asyncInference, context)
    requireNew(await desk.findConfig(config.name), KIND, config.name)
    for (const { model } of [...config.variants, ...config.shadows]) need(await desk.findModel(model), 'model', model)
    await validated(desk.createConfig(config))
    await keepTags(`${KIND}/${config.name}`, tags, context)
    return { EndpointConfigArn: arnOf(KIND, config.name) }
  },
  DescribeEndpointConfig: async (body, context) => {
    checkMembers(body, nameMember(MEMBER))
    const name = String(body[MEMBER])
    const { request, createdMs } = need(await deskFor(context, 'read').findConfig(name), KIND, name)
    const { Tags: _tags, ...shown } = request
    return { ...shown, [MEMBER]: name, EndpointConfigArn: arnOf(KIND, name), CreationTime: seconds(createdMs) }
  },
  ListEndpointConfigs: async (body, context) => {
    const configs = (await deskFor(context, 'read').listConfigs()).map((config) => ({ ...config, modifiedMs: config.createdMs, status: '' }))
    const { page, next } = pageOfNamed(configs, body, LIST)
    const shown = page.map(({ name, createdMs }) => ({ [MEMBER]: name, EndpointConfigArn: arnOf(KIND, name), CreationTime: seconds(createdMs) }))
    return { EndpointConfigs: shown, ...next }
  },
  DeleteEndpointConfig: async (body, context) => {
    checkMembers(body, nameMember(MEMBER))
    const desk = deskFor(context, 'operate')
    const name = String(body[MEMBER])
    need(await desk.findConfig(name), KIND, name)
    await validated(desk.deleteConfig(name))
    return null
  },
}

/** Who makes the configuration has the buckets; who calls later needs them too. */
function checkAsyncFolders(terms: AsyncTerms | undefined, { principal, services: { objects } }: ServiceContext): void {
  for (const uri of [terms?.outputUri, terms?.failureUri]) {
    if (uri === undefined || uri === null) continue
    if (objects === null) throw unsupported('AsyncInferenceConfig', 'this server has no objects')
    objects.locate(principal.team, uri)
  }
}

/** Throws malformed_body, invalid_parameter and unsupported_parameter. */
function readConfig(body: JsonObject, team: string): Omit<EndpointConfig, 'createdMs'> {
  for (const name of REFUSED) if (Object.hasOwn(body, name)) throw unsupported(name, `${name} is not offered by this server`)
  checkMembers(body, CREATE_CONFIG)
  const fields = new Fields(body)
  const variants = body['ProductionVariants'] as readonly JsonObject[]
  if (variants.length === 0) throw invalid('ProductionVariants', 'ProductionVariants must have at least one variant')
  const shadows = (body['ShadowProductionVariants'] ?? []) as readonly JsonObject[]
  const names = [...variants, ...shadows].map((variant) => String(variant['VariantName']))
  const taken = names.find((name, index) => names.indexOf(name) !== index)
  if (taken !== undefined) throw invalid('VariantName', `two variants have the name '${taken}'`)
  const config = { name: fields.requiredText(MEMBER), variants: variants.map(readVariant), shadows: shadows.map(readVariant), request: body }
  const [capture, asyncInference] = [readCapture(body, team), readAsyncTerms(body)]
  return { ...config, ...(capture === null ? {} : { capture }), ...(asyncInference === null ? {} : { asyncInference }) }
}

function readVariant(body: JsonObject): VariantSpec {
  const fields = new Fields(body)
  const serverless = body['ServerlessConfig'] as JsonObject | undefined
  const count = fields.integer('InitialInstanceCount', { min: 1, max: 64 })
  if (serverless !== undefined && count !== null) throw invalid('InitialInstanceCount', 'a serverless variant has no InitialInstanceCount')
  return {
    name: fields.requiredText('VariantName'),
    model: fields.requiredText('ModelName'),
    weight: fields.number('InitialVariantWeight', { min: 0, max: Number.MAX_VALUE }) ?? 1,
    replicas: count ?? 1,
    serverless: serverless === undefined ? null : readServerless(new Fields(serverless)),
  }
}

/** What a worker takes is known from its files: MemorySizeInMB is shown again and bounds nothing. */
function readServerless(fields: Fields): ServerlessTerms {
  const anyCount = { min: 1, max: 200 }
  return {
    maxConcurrency: fields.integer('MaxConcurrency', anyCount) ?? 1,
    provisionedConcurrency: fields.integer('ProvisionedConcurrency', anyCount) ?? 0,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
  }
}
