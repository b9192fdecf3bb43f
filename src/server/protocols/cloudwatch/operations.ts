/** Alarms over what scales: put, shown, deleted. */
import { InferdError } from '#contract/errors'
import type { Scope } from '#contract/principal'
import type { ScalingDesk } from '#contract/scaling'
import type { AwsJsonOperation } from '#server/aws-json/answer-operation'
import { checkMembers } from '#server/aws-json/member-rules'
import { invalid } from '#server/fields'
import type { JsonObject, ServiceContext } from '#server/operation'
import { encodeAlarm, readAlarm, stateWord } from './alarm-request.ts'
import { DELETE_ALARMS, DESCRIBE_ALARMS, PUT_ALARM } from './members.ts'

const MAX_RECORDS = 100

export const ALARM_OPERATIONS: Readonly<Record<string, AwsJsonOperation>> = {
  PutMetricAlarm: async (body, context) => {
    checkMembers(body, PUT_ALARM)
    await deskFor(context, 'operate').putAlarm(readAlarm(body))
    return {}
  },
  DescribeAlarms: async (body, context) => {
    checkMembers(body, DESCRIBE_ALARMS)
    for (const name of ['ChildrenOfAlarmName', 'ParentsOfAlarmName'])
      if (body[name] !== undefined) throw new InferdError('unsupported_parameter', 'there are no composite alarms', { param: name })
    const { AlarmNames: names, AlarmNamePrefix: prefix = '', AlarmTypes: types, StateValue: state, ActionPrefix: action = '' } = body as Asked
    const all = types?.includes('MetricAlarm') === false ? [] : await deskFor(context, 'read').listAlarms()
    const found = all.filter(
      (alarm) =>
        (names === undefined || names.includes(alarm.name)) &&
        alarm.name.startsWith(prefix) &&
        (state === undefined || stateWord(alarm.state) === state) &&
        actionsOf(alarm.request).some((arn) => arn.startsWith(action)),
    )
    const { page, next } = pageOf(found, body)
    return { CompositeAlarms: [], MetricAlarms: page.map(encodeAlarm), ...next }
  },
  DeleteAlarms: async (body, context) => {
    checkMembers(body, DELETE_ALARMS)
    await deskFor(context, 'operate').deleteAlarms((body as unknown as { readonly AlarmNames: readonly string[] }).AlarmNames)
    return {}
  },
}

/** Members of DescribeAlarms, checked. */
interface Asked {
  readonly AlarmNames?: readonly string[]
  readonly AlarmNamePrefix?: string
  readonly AlarmTypes?: readonly string[]
  readonly StateValue?: string
  readonly ActionPrefix?: string
}

function actionsOf(request: Readonly<Record<string, unknown>>): readonly string[] {
  return (request['AlarmActions'] ?? []) as readonly string[]
}

/** Throws forbidden for a key without the scope, and unsupported_parameter where the server scales nothing. */
function deskFor({ principal, services: { scaling } }: ServiceContext, scope: Scope): ScalingDesk {
  if (!principal.scopes.includes(scope)) throw new InferdError('forbidden', `this needs a key with the scope ${scope}`)
  if (scaling === null) throw new InferdError('unsupported_parameter', 'this server scales no endpoints')
  return scaling
}

/** Tokens are places in a list that changes seldom. */
function pageOf<T>(all: readonly T[], body: JsonObject): { readonly page: readonly T[]; readonly next: { readonly NextToken?: string } } {
  const token = (body['NextToken'] as string | undefined) ?? '0'
  if (!/^\d{1,6}$/.test(token)) throw invalid('NextToken', 'NextToken is not of this list')
  const end = Number(token) + ((body['MaxRecords'] as number | undefined) ?? MAX_RECORDS)
  return { page: all.slice(Number(token), end), next: end < all.length ? { NextToken: String(end) } : {} }
}
