/** What this server checks of requests to the control plane is what AWS's own service model says of them; only where this machine has botocore. */
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import type { MemberRule, MemberRules } from '#server/aws-json/member-rules'
import * as deployments from '#server/protocols/sagemaker/control/deployment-members'
import { ADD_TAGS, DELETE_TAGS, LIST_TAGS } from '#server/protocols/sagemaker/control/tag-members'
import { CREATE_MEMBERS, NAME_MEMBERS } from '#server/protocols/sagemaker/control/transform-members'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'

interface Shape {
  readonly type: string
  readonly required?: readonly string[]
  readonly members?: Readonly<Record<string, { readonly shape: string }>>
  readonly member?: { readonly shape: string }
  readonly min?: number
  readonly max?: number
  readonly pattern?: string
  readonly enum?: readonly string[]
}

const DUMP = 'import json, botocore.loaders as l; print(json.dumps(l.Loader().load_service_model("sagemaker", "service-2", "2017-07-24")["shapes"]))'
const OPERATIONS: Readonly<Record<string, MemberRules>> = {
  CreateModel: deployments.CREATE_MODEL,
  DescribeModel: deployments.nameMember('ModelName'),
  DeleteModel: deployments.nameMember('ModelName'),
  CreateEndpointConfig: deployments.CREATE_CONFIG,
  DescribeEndpointConfig: deployments.nameMember('EndpointConfigName'),
  CreateEndpoint: deployments.CREATE_ENDPOINT,
  UpdateEndpoint: deployments.UPDATE_ENDPOINT,
  UpdateEndpointWeightsAndCapacities: deployments.CHANGE_VARIANTS,
  DescribeEndpoint: deployments.nameMember('EndpointName'),
  DeleteEndpoint: deployments.nameMember('EndpointName'),
  CreateTransformJob: CREATE_MEMBERS,
  DescribeTransformJob: NAME_MEMBERS,
  StopTransformJob: NAME_MEMBERS,
  AddTags: ADD_TAGS,
  ListTags: LIST_TAGS,
  DeleteTags: DELETE_TAGS,
}
/** Where this server means to say something else: names of machines mean nothing here, and some of what AWS can do without is needed. */
const MEANT = [/InstanceType: (words|maxLength) /, /Variants\.ModelName: required false$/, /\.(AlarmName|S3DataSource): required false$/]

function differences(
  rules: MemberRules,
  shapeName: string,
  { shapes, path }: { readonly shapes: Readonly<Record<string, Shape>>; readonly path: string },
): string[] {
  const shape = shapes[shapeName]
  return Object.entries(rules).flatMap(([name, rule]) => {
    const member = shape?.members?.[name]
    const at = `${path}.${name}`
    if (member === undefined) return [`${at}: AWS has no such member`]
    const isRequired = shape?.required?.includes(name) === true
    const wrong = isRequired === (rule.isRequired === true) ? [] : [`${at}: required ${isRequired}`]
    return [...wrong, ...differencesOf(rule, member.shape, { shapes, path: at })]
  })
}

function differencesOf(
  rule: MemberRule,
  shapeName: string,
  place: { readonly shapes: Readonly<Record<string, Shape>>; readonly path: string },
): string[] {
  const shape = place.shapes[shapeName]!
  const differ = (what: string, ours: unknown, theirs: unknown): string[] =>
    JSON.stringify(ours) === JSON.stringify(theirs) ? [] : [`${place.path}: ${what} ${JSON.stringify(ours)}, of AWS ${JSON.stringify(theirs)}`]
  switch (rule.kind) {
    case 'text':
      return [
        ...differ('type', 'string', shape.type),
        ...differ('minLength', rule.minLength ?? 0, shape.min ?? 0),
        ...(rule.maxLength === undefined && shape.max === undefined ? [] : differ('maxLength', rule.maxLength, shape.max)),
        ...(shape.pattern === undefined || shape.pattern === '.*' ? [] : differ('pattern', plain(rule.pattern ?? ''), plain(shape.pattern))),
        ...differ('words', rule.words?.toSorted(), shape.enum?.toSorted()),
      ]
    case 'integer':
      return [...differ('min', rule.min, shape.min ?? 0), ...(shape.max === undefined ? [] : differ('max', rule.max, shape.max))]
    case 'structure':
      return differences(rule.members, shapeName, place)
    case 'list':
      return [...differ('maxItems', rule.maxItems, shape.max ?? rule.maxItems), ...differencesOf(rule.item, shape.member!.shape, place)]
    case 'map':
      return differ('maxItems', rule.maxItems, shape.max)
    default:
      return []
  }
}

/** Anchors and a pair of brackets around all of it mean nothing: the whole text is matched anyway. */
function plain(pattern: string): string {
  const bare = pattern.replace(/^\^/, '').replace(/\$$/, '')
  return /^\([^()]*\)$/.test(bare) ? bare.slice(1, -1) : bare
}

test.runIf(hasCommand('python3', '-c', 'import botocore'))(
  'members, lengths, patterns and words are those of the service model',
  () => {
    const text = execFileSync('python3', ['-c', DUMP], { env: AWS_ENVIRONMENT, maxBuffer: 64 * 2 ** 20, timeout: COMMAND_TIMEOUT_MS })
    const shapes = JSON.parse(text.toString('utf8')) as Readonly<Record<string, Shape>>
    const inputOf = (operation: string): string => [`${operation}Request`, `${operation}Input`].find((name) => Object.hasOwn(shapes, name))!
    const found = Object.entries(OPERATIONS).flatMap(([operation, rules]) => differences(rules, inputOf(operation), { shapes, path: operation }))
    expect(found.filter((words) => !MEANT.some((meant) => meant.test(words)))).toEqual([])
  },
  COMMAND_TIMEOUT_MS,
)
