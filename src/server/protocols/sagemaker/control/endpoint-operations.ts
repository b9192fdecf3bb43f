/** CreateEndpoint, DescribeEndpoint, ListEndpoints, UpdateEndpoint, UpdateEndpointWeightsAndCapacities, DeleteEndpoint. */
import type { Endpoint, EndpointVariant, VariantChange } from '#contract/deployment'
import { Fields } from '#server/fields'
import type { JsonObject, ServiceContext } from '#server/operation'
import type { AwsJsonOperation } from '#server/aws-json/answer-operation'
import { encodeCaptureSummary } from './data-capture.ts'
import { CHANGE_VARIANTS, CREATE_ENDPOINT, nameMember, UPDATE_ENDPOINT } from './deployment-members.ts'
import { arnOf, deskFor, need, requireNew, seconds, validated } from './deployments.ts'
import { checkMembers, type MemberRules } from '#server/aws-json/member-rules'
import { listMembers, pageOfNamed } from './named-page.ts'
import { keepTags, readTags } from './tags.ts'
import { encodePlan, readPlan, readRetained } from './rollout-plan.ts'

const LIST = listMembers(['OutOfService', 'Creating', 'Updating', 'SystemUpdating', 'RollingBack', 'InService', 'Deleting', 'Failed'])
const MAX_REASON_LENGTH = 1024

export const ENDPOINT_OPERATIONS: Readonly<Record<string, AwsJsonOperation>> = {
  CreateEndpoint: async (body, context) => {
    const { desk, name, config } = await readOrder(body, CREATE_ENDPOINT, context)
    requireNew(await desk.findEndpoint(name), 'endpoint', name)
    // Of the updates to come, each of which brings its own: what could not be one is refused now.
    readPlan(body)
    const tags = readTags(body)
    await validated(desk.createEndpoint(name, config))
    await keepTags(`endpoint/${name}`, tags, context)
    return { EndpointArn: arnOf('endpoint', name) }
  },
  UpdateEndpoint: async (body, context) => {
    const { desk, name, config } = await readOrder(body, UPDATE_ENDPOINT, context)
    const { lastPlan } = need(await desk.findEndpoint(name), 'endpoint', name)
    const plan = body['RetainDeploymentConfig'] === true && lastPlan !== null ? lastPlan : readPlan(body)
    await validated(desk.updateEndpoint(name, config, { ...plan, retained: readRetained(body) }))
    return { EndpointArn: arnOf('endpoint', name) }
  },
  UpdateEndpointWeightsAndCapacities: async (body, context) => {
    checkMembers(body, CHANGE_VARIANTS)
    const desk = deskFor(context, 'operate')
    const name = String(body['EndpointName'])
    need(await desk.findEndpoint(name), 'endpoint', name)
    await validated(desk.changeVariants(name, (body['DesiredWeightsAndCapacities'] as readonly JsonObject[]).map(readChange)))
    return { EndpointArn: arnOf('endpoint', name) }
  },
  DescribeEndpoint: async (body, context) => encodeEndpoint(await needEndpoint(body, context)),
  ListEndpoints: async (body, context) => {
    const { page, next } = pageOfNamed(await deskFor(context, 'read').listEndpoints(), body, LIST)
    return { Endpoints: page.map(encodeSummary), ...next }
  },
  DeleteEndpoint: async (body, context) => {
    checkMembers(body, nameMember('EndpointName'))
    const desk = deskFor(context, 'operate')
    const name = String(body['EndpointName'])
    need(await desk.findEndpoint(name), 'endpoint', name)
    await validated(desk.deleteEndpoint(name))
    return null
  },
}

interface EndpointOrder {
  readonly desk: ReturnType<typeof deskFor>
  readonly name: string
  readonly config: string
}

async function readOrder(body: JsonObject, rules: MemberRules, context: ServiceContext): Promise<EndpointOrder> {
  checkMembers(body, rules)
  const desk = deskFor(context, 'operate')
  const config = String(body['EndpointConfigName'])
  need(await desk.findConfig(config), 'endpoint-config', config)
  return { desk, name: String(body['EndpointName']), config }
}

function readChange(body: JsonObject): VariantChange {
  const fields = new Fields(body)
  return {
    variant: fields.requiredText('VariantName'),
    weight: fields.number('DesiredWeight', { min: 0, max: Number.MAX_VALUE }),
    replicas: fields.integer('DesiredInstanceCount', { min: 0, max: Number.MAX_SAFE_INTEGER }),
  }
}

async function needEndpoint(body: JsonObject, context: ServiceContext): Promise<Endpoint> {
  checkMembers(body, nameMember('EndpointName'))
  const name = String(body['EndpointName'])
  return need(await deskFor(context, 'read').findEndpoint(name), 'endpoint', name)
}

function encodeEndpoint(endpoint: Endpoint): object {
  const { config, problem, variants, rollout, lastPlan, capture } = endpoint
  const shown = (isShadow: boolean): readonly object[] => variants.filter((variant) => variant.isShadow === isShadow).map(encodeVariant)
  const shadows = shown(true)
  return {
    ...encodeSummary(endpoint),
    EndpointConfigName: config,
    ProductionVariants: shown(false),
    ...(shadows.length === 0 ? {} : { ShadowProductionVariants: shadows }),
    ...(problem === null ? {} : { FailureReason: problem.message.slice(0, MAX_REASON_LENGTH) }),
    ...(capture === undefined ? {} : { DataCaptureConfig: encodeCaptureSummary(capture) }),
    ...(lastPlan === null ? {} : { LastDeploymentConfig: encodePlan(lastPlan) }),
    ...(rollout === null ? {} : { PendingDeploymentSummary: { EndpointConfigName: rollout.toConfig, StartTime: seconds(rollout.startedMs) } }),
  }
}

function encodeSummary({ name, status, createdMs, modifiedMs }: Endpoint): object {
  return {
    EndpointName: name,
    EndpointArn: arnOf('endpoint', name),
    EndpointStatus: status,
    CreationTime: seconds(createdMs),
    LastModifiedTime: seconds(modifiedMs),
  }
}

function encodeVariant({ name, currentWeight, desiredWeight, currentReplicas, desiredReplicas, serverless }: EndpointVariant): object {
  if (serverless === null)
    return {
      VariantName: name,
      CurrentWeight: currentWeight,
      DesiredWeight: desiredWeight,
      CurrentInstanceCount: currentReplicas,
      DesiredInstanceCount: desiredReplicas,
    }
  const { maxConcurrency, provisionedConcurrency } = serverless
  const config = { MaxConcurrency: maxConcurrency, ...(provisionedConcurrency === 0 ? {} : { ProvisionedConcurrency: provisionedConcurrency }) }
  return { VariantName: name, CurrentWeight: currentWeight, DesiredWeight: desiredWeight, CurrentServerlessConfig: config }
}
