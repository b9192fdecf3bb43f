/** The operations of Application Auto Scaling on variants of endpoints. */
import { InferdError } from '#contract/errors'
import type { Scope } from '#contract/principal'
import type { MetricAlarm, ScalableTarget, ScalingDesk } from '#contract/scaling'
import { parseSchedule } from '#contract/schedule'
import type { AwsJsonOperation } from '#server/aws-json/answer-operation'
import { checkMembers, type MemberRules } from '#server/aws-json/member-rules'
import { Fields, invalid } from '#server/fields'
import type { JsonObject, ServiceContext } from '#server/operation'
import { alarmArn, policyArn, SCALING_ARN } from '#server/scaling-names'
import {
  DELETE_POLICY,
  DELETE_SCHEDULE,
  DEREGISTER,
  DESCRIBE_ACTIVITIES,
  DESCRIBE_POLICIES,
  DESCRIBE_SCHEDULES,
  DESCRIBE_TARGETS,
  PUT_POLICY,
  PUT_SCHEDULE,
  REGISTER,
} from './members.ts'
import { encodeRule, readRule } from './policy-request.ts'

type Place = Pick<ScalableTarget, 'endpoint' | 'variant'>

const DIMENSION = 'sagemaker:variant:DesiredInstanceCount'
const MAX_RESULTS = 50
const ANY_COUNT = { min: 0, max: 2_147_483_647 }

export const SCALING_OPERATIONS: Readonly<Record<string, AwsJsonOperation>> = {
  RegisterScalableTarget: async (body, context) => {
    checkMembers(body, REGISTER)
    const desk = deskFor(context, 'operate')
    const place = placeOf(body)
    const before = (await desk.listTargets()).find((target) => isAt(target, place))
    const fields = new Fields(body)
    const [minReplicas, maxReplicas] = [fields.integer('MinCapacity', ANY_COUNT), fields.integer('MaxCapacity', ANY_COUNT)]
    if (before === undefined && (minReplicas === null || maxReplicas === null))
      throw invalid('MinCapacity', 'MinCapacity and MaxCapacity must be given for a new target')
    const suspended = (body['SuspendedState'] ?? {}) as Readonly<Record<string, boolean>>
    await desk.putTarget({
      ...place,
      minReplicas: minReplicas ?? before!.minReplicas,
      maxReplicas: maxReplicas ?? before!.maxReplicas,
      isScaleInSuspended: suspended['DynamicScalingInSuspended'] ?? before?.isScaleInSuspended ?? false,
      isScaleOutSuspended: suspended['DynamicScalingOutSuspended'] ?? before?.isScaleOutSuspended ?? false,
      isScheduleSuspended: suspended['ScheduledScalingSuspended'] ?? before?.isScheduleSuspended ?? false,
    })
    return { ScalableTargetARN: `${SCALING_ARN}scalable-target/${place.endpoint}/${place.variant}` }
  },
  DeregisterScalableTarget: async (body, context) => {
    checkMembers(body, DEREGISTER)
    const { endpoint, variant } = placeOf(body)
    await deskFor(context, 'operate').deleteTarget(endpoint, variant)
    return {}
  },
  DescribeScalableTargets: async (body, context) => {
    const ids = readIds(body, DESCRIBE_TARGETS, 'ResourceIds')
    const found = (await deskFor(context, 'read').listTargets()).filter((target) => ids === null || ids.includes(idOf(target)))
    const { page, next } = pageOf(found, body)
    return { ScalableTargets: page.map(encodeTarget), ...next }
  },
  PutScalingPolicy: async (body, context) => {
    checkMembers(body, PUT_POLICY)
    const name = String(body['PolicyName'])
    const place = placeOf(body)
    const desk = deskFor(context, 'operate')
    const before = (await desk.listPolicies()).find((policy) => isAt(policy, place) && policy.name === name)
    await desk.putPolicy({ ...place, name, ...readRule(body, place, before) })
    return { PolicyARN: policyArn(place, name), Alarms: alarmsOf({ ...place, name }, await desk.listAlarms()) }
  },
  DeleteScalingPolicy: async (body, context) => {
    checkMembers(body, DELETE_POLICY)
    const { endpoint, variant } = placeOf(body)
    await deskFor(context, 'operate').deletePolicy(endpoint, variant, String(body['PolicyName']))
    return {}
  },
  DescribeScalingPolicies: async (body, context) => {
    const names = readIds(body, DESCRIBE_POLICIES, 'PolicyNames')
    const desk = deskFor(context, 'read')
    const alarms = await desk.listAlarms()
    const found = (await desk.listPolicies()).filter((policy) => isAsked(policy, body) && (names === null || names.includes(policy.name)))
    const { page, next } = pageOf(found, body)
    const shown = page.map((policy) => ({
      ...placeView(policy),
      PolicyName: policy.name,
      PolicyARN: policyArn(policy, policy.name),
      CreationTime: policy.createdMs / 1000,
      ...encodeRule(policy),
      Alarms: alarmsOf(policy, alarms),
    }))
    return { ScalingPolicies: shown, ...next }
  },
  PutScheduledAction: async (body, context) => {
    checkMembers(body, PUT_SCHEDULE)
    const fields = new Fields(body)
    const expression = fields.text('Schedule')
    if (expression === null) throw invalid('Schedule', 'Schedule must be given')
    const timezone = fields.text('Timezone') ?? 'UTC'
    const action = new Fields((body['ScalableTargetAction'] ?? {}) as JsonObject)
    const [minReplicas, maxReplicas] = [action.integer('MinCapacity', ANY_COUNT), action.integer('MaxCapacity', ANY_COUNT)]
    if (minReplicas === null && maxReplicas === null)
      throw invalid('ScalableTargetAction', 'ScalableTargetAction must have MinCapacity or MaxCapacity')
    const time = (name: string): number | null => (typeof body[name] === 'number' ? body[name] * 1000 : null)
    await deskFor(context, 'operate').putSchedule({
      ...placeOf(body),
      name: String(body['ScheduledActionName']),
      expression,
      schedule: parseSchedule(expression, timezone),
      timezone,
      startMs: time('StartTime'),
      endMs: time('EndTime'),
      minReplicas,
      maxReplicas,
    })
    return {}
  },
  DeleteScheduledAction: async (body, context) => {
    checkMembers(body, DELETE_SCHEDULE)
    const { endpoint, variant } = placeOf(body)
    await deskFor(context, 'operate').deleteSchedule(endpoint, variant, String(body['ScheduledActionName']))
    return {}
  },
  DescribeScheduledActions: async (body, context) => {
    const names = readIds(body, DESCRIBE_SCHEDULES, 'ScheduledActionNames')
    const found = (await deskFor(context, 'read').listSchedules()).filter((one) => isAsked(one, body) && (names === null || names.includes(one.name)))
    const { page, next } = pageOf(found, body)
    const shown = page.map((one) => ({
      ...placeView(one),
      ScheduledActionName: one.name,
      ScheduledActionARN: `${SCALING_ARN}scheduledAction/${one.endpoint}/${one.variant}/${one.name}`,
      Schedule: one.expression,
      Timezone: one.timezone,
      ...(one.startMs === null ? {} : { StartTime: one.startMs / 1000 }),
      ...(one.endMs === null ? {} : { EndTime: one.endMs / 1000 }),
      ScalableTargetAction: {
        ...(one.minReplicas === null ? {} : { MinCapacity: one.minReplicas }),
        ...(one.maxReplicas === null ? {} : { MaxCapacity: one.maxReplicas }),
      },
      CreationTime: one.createdMs / 1000,
    }))
    return { ScheduledActions: shown, ...next }
  },
  DescribeScalingActivities: async (body, context) => {
    checkMembers(body, DESCRIBE_ACTIVITIES)
    const all = await deskFor(context, 'read').listActivities()
    const isShown = (from: number, to: number): boolean => from !== to || body['IncludeNotScaledActivities'] === true
    const { page, next } = pageOf(
      all.filter((one) => isAsked(one, body) && isShown(one.from, one.to)),
      body,
    )
    const shown = page.map((one) => ({
      ActivityId: one.id,
      ...placeView(one),
      Description: one.from === one.to ? 'Not scaled.' : `Setting desired instance count to ${one.to}.`,
      Cause: one.cause,
      StartTime: one.atMs / 1000,
      EndTime: one.atMs / 1000,
      StatusCode: one.from === one.to ? 'Failed' : 'Successful',
    }))
    return { ScalingActivities: shown, ...next }
  },
}

/** Throws forbidden for a key without the scope, and unsupported_parameter where the server scales nothing. */
function deskFor({ principal, services: { scaling } }: ServiceContext, scope: Scope): ScalingDesk {
  if (!principal.scopes.includes(scope)) throw new InferdError('forbidden', `this needs a key with the scope ${scope}`)
  if (scaling === null) throw new InferdError('unsupported_parameter', 'this server scales no endpoints')
  return scaling
}

/** The pattern was checked. */
function placeOf(body: JsonObject): Place {
  const [, endpoint = '', , variant = ''] = String(body['ResourceId']).split('/')
  return { endpoint, variant }
}

function idOf({ endpoint, variant }: Place): string {
  return `endpoint/${endpoint}/variant/${variant}`
}

function isAt(one: Place, place: Place): boolean {
  return idOf(one) === idOf(place)
}

function isAsked(one: Place, body: JsonObject): boolean {
  return (body['ResourceId'] ?? null) === null || body['ResourceId'] === idOf(one)
}

function readIds(body: JsonObject, rules: MemberRules, member: string): readonly string[] | null {
  checkMembers(body, rules)
  return (body[member] as readonly string[] | undefined) ?? null
}

/** Tokens are places in a list that changes seldom. */
function pageOf<T>(all: readonly T[], body: JsonObject): { readonly page: readonly T[]; readonly next: { readonly NextToken?: string } } {
  const token = (body['NextToken'] as string | undefined) ?? '0'
  if (!/^\d{1,6}$/.test(token)) throw invalid('NextToken', 'NextToken is not of this list')
  const end = Number(token) + ((body['MaxResults'] as number | undefined) ?? MAX_RESULTS)
  return { page: all.slice(Number(token), end), next: end < all.length ? { NextToken: String(end) } : {} }
}

function placeView(place: Place): object {
  return { ServiceNamespace: 'sagemaker', ResourceId: idOf(place), ScalableDimension: DIMENSION }
}

function alarmsOf(policy: Place & { readonly name: string }, alarms: readonly MetricAlarm[]): readonly object[] {
  const ofPolicy = alarms.filter((alarm) => isAt(alarm, policy) && alarm.policies.includes(policy.name))
  return ofPolicy.map(({ name }) => ({ AlarmName: name, AlarmARN: alarmArn(name) }))
}

function encodeTarget(target: ScalableTarget): object {
  return {
    ...placeView(target),
    MinCapacity: target.minReplicas,
    MaxCapacity: target.maxReplicas,
    RoleARN: 'arn:aws:iam::000000000000:role/none',
    CreationTime: target.createdMs / 1000,
    SuspendedState: {
      DynamicScalingInSuspended: target.isScaleInSuspended,
      DynamicScalingOutSuspended: target.isScaleOutSuspended,
      ScheduledScalingSuspended: target.isScheduleSuspended,
    },
    ScalableTargetARN: `${SCALING_ARN}scalable-target/${target.endpoint}/${target.variant}`,
  }
}
