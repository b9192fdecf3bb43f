/** Provisioned throughput of Bedrock's control plane, and the tags of it. */
import { InferdError } from '#contract/errors'
import type { ProvisionedDesk, ProvisionedQuery, ProvisionedThroughput } from '#contract/provisioned'
import { Fields, invalid, isJsonObject, unsupported } from '#server/fields'
import type { Incoming, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { readPageSize, readTime, readTimeOrder, readToken } from '../list-page.ts'
import { modelName } from '../model-id.ts'
import { readRequestToken } from '../request-token.ts'
import { commitmentOf, encodeThroughput, throughputArn, throughputIdOf } from './encode-throughput.ts'

const NAME = /^(?:[0-9a-zA-Z][_-]?){1,63}$/
const TAG_TEXT = /^[a-zA-Z0-9\s._:/=+@-]*$/
const MAX_NAME_LENGTH = 63
const MAX_UNITS = 10_000
const MAX_TAGS = 200
const STATUSES = ['Creating', 'InService', 'Updating', 'Failed']

export const throughputRoutes: readonly ProtocolRoute[] = [
  { kind: 'service', method: 'POST', path: '/provisioned-model-throughput', scope: 'operate', handle: create },
  { kind: 'service', method: 'GET', path: '/provisioned-model-throughputs', scope: 'read', handle: list },
  { kind: 'service', method: 'GET', path: '/provisioned-model-throughput/:throughputId', scope: 'read', handle: get },
  { kind: 'service', method: 'PATCH', path: '/provisioned-model-throughput/:throughputId', scope: 'operate', handle: update },
  { kind: 'service', method: 'DELETE', path: '/provisioned-model-throughput/:throughputId', scope: 'operate', handle: remove },
  { kind: 'service', method: 'POST', path: '/listTagsForResource', scope: 'read', handle: listTags },
  { kind: 'service', method: 'POST', path: '/tagResource', scope: 'operate', handle: addTags },
  { kind: 'service', method: 'POST', path: '/untagResource', scope: 'operate', handle: removeTags },
]

async function create({ body }: Incoming, context: ServiceContext): Promise<WireReply> {
  const fields = new Fields(body)
  fields.check({
    clientRequestToken: 'read',
    modelUnits: 'read',
    provisionedModelName: 'read',
    modelId: 'read',
    commitmentDuration: 'read',
    tags: 'read',
  })
  const units = fields.integer('modelUnits', { min: 1, max: MAX_UNITS })
  if (units === null) throw fields.missing('modelUnits')
  const word = fields.text('commitmentDuration')
  const commitment = word === null ? 'none' : commitmentOf(word)
  if (commitment === null) throw invalid('commitmentDuration', 'commitmentDuration must be OneMonth or SixMonths')
  const { team, keyId } = context.principal
  const made = await deskOf(context).create({
    team,
    keyId,
    name: readName(fields, 'provisionedModelName'),
    model: modelName(fields.requiredText('modelId')),
    units,
    commitment,
    tags: readTags(fields, 'tags') ?? {},
    token: readRequestToken(fields),
  })
  return reply(context, { provisionedModelArn: throughputArn(made.id) }, 201)
}

async function get(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  return reply(context, encodeThroughput(await deskOf(context).get(queryOf(incoming, context))))
}

/** Newest first, when nothing else is asked for. */
async function list({ query }: Incoming, context: ServiceContext): Promise<WireReply> {
  const limit = readPageSize(query.get('maxResults'))
  const start = readToken(query.get('nextToken'))
  const isWanted = readFilters(query)
  const order = readTimeOrder(query)
  const oldestFirst = (await deskOf(context).list(context.principal.team)).filter(isWanted)
  const wanted = order === 'Ascending' ? oldestFirst : oldestFirst.toReversed()
  const end = start + limit
  return reply(context, {
    provisionedModelSummaries: wanted.slice(start, end).map(encodeThroughput),
    ...(end < wanted.length ? { nextToken: String(end) } : {}),
  })
}

/** A name. Another model would be another price: that is another provisioned throughput. */
async function update(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const fields = new Fields(incoming.body)
  fields.check({ desiredProvisionedModelName: 'read', desiredModelId: 'read' })
  const query = queryOf(incoming, context)
  const desk = deskOf(context)
  const model = fields.text('desiredModelId')
  if (model !== null && modelName(model) !== (await desk.get(query)).model) {
    throw unsupported('desiredModelId', 'desiredModelId: units of one model are not exchanged for those of another; create new ones and delete these')
  }
  if (fields.text('desiredProvisionedModelName') !== null) await desk.rename(query, readName(fields, 'desiredProvisionedModelName'))
  return reply(context, {})
}

async function remove(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  await deskOf(context).remove(queryOf(incoming, context))
  return reply(context, {})
}

async function listTags({ body }: Incoming, context: ServiceContext): Promise<WireReply> {
  const fields = new Fields(body)
  fields.check({ resourceARN: 'read' })
  const { tags } = await deskOf(context).get(taggedOf(fields, context))
  return reply(context, { tags: Object.entries(tags).map(([key, value]) => ({ key, value })) })
}

async function addTags({ body }: Incoming, context: ServiceContext): Promise<WireReply> {
  const fields = new Fields(body)
  fields.check({ resourceARN: 'read', tags: 'read' })
  const add = readTags(fields, 'tags')
  if (add === null) throw fields.missing('tags')
  await deskOf(context).tag(taggedOf(fields, context), { add, remove: [] })
  return reply(context, {})
}

async function removeTags({ body }: Incoming, context: ServiceContext): Promise<WireReply> {
  const fields = new Fields(body)
  fields.check({ resourceARN: 'read', tagKeys: 'read' })
  const keys = fields.list('tagKeys', { maxItems: MAX_TAGS }) ?? []
  const remove = keys.map((key) => {
    if (typeof key !== 'string') throw invalid('tagKeys', 'tagKeys must be texts')
    return key
  })
  await deskOf(context).tag(taggedOf(fields, context), { add: {}, remove })
  return reply(context, {})
}

/** Throws unsupported_parameter on a server that sells none. */
function deskOf({ services }: ServiceContext): ProvisionedDesk {
  if (services.provisioned === null) throw unsupported('modelId', 'this server has no provisioned throughput')
  return services.provisioned
}

function queryOf({ params }: Incoming, { principal }: ServiceContext): ProvisionedQuery {
  return { team: principal.team, who: throughputIdOf(params['throughputId'] ?? '') }
}

/** Only provisioned throughput has tags here. */
function taggedOf(fields: Fields, { principal }: ServiceContext): ProvisionedQuery {
  const arn = fields.requiredText('resourceARN', { maxLength: 1011 })
  const id = throughputIdOf(arn)
  if (id === arn) throw new InferdError('resource_not_found', 'only provisioned throughput has tags on this server', { param: 'resourceARN' })
  return { team: principal.team, who: id }
}

function readName(fields: Fields, key: string): string {
  const name = fields.requiredText(key, { minLength: 1, maxLength: MAX_NAME_LENGTH })
  if (!NAME.test(name)) throw invalid(key, `${key} must have letters, digits, and single - or _ between and behind them`)
  return name
}

function readTags(fields: Fields, key: string): Readonly<Record<string, string>> | null {
  const items = fields.list(key, { maxItems: MAX_TAGS })
  if (items === null) return null
  const tags = new Map<string, string>()
  for (const [index, item] of items.entries()) {
    const tag = new Fields(isJsonObject(item) ? item : {}, `${key}[${index}]`)
    tag.check({ key: 'read', value: 'read' })
    const name = tag.requiredText('key', { minLength: 1, maxLength: 128 })
    const value = tag.requiredText('value', { maxLength: 256 })
    if (!TAG_TEXT.test(name) || !TAG_TEXT.test(value))
      throw invalid(tag.pathOf('key'), `${key}[${index}] must have letters, digits, spaces and ._:/=+@- only`)
    tags.set(name, value)
  }
  return Object.fromEntries(tags)
}

function readFilters(query: URLSearchParams): (each: ProvisionedThroughput) => boolean {
  const after = readTime(query, 'creationTimeAfter') ?? Number.NEGATIVE_INFINITY
  const before = readTime(query, 'creationTimeBefore') ?? Number.POSITIVE_INFINITY
  const status = query.get('statusEquals')
  if (status !== null && !STATUSES.includes(status)) throw invalid('statusEquals', `statusEquals must be one of ${STATUSES.join(', ')}`)
  const modelArn = query.get('modelArnEquals')
  const wantedModel = modelArn === null ? null : modelName(modelArn)
  const part = query.get('nameContains') ?? ''
  return ({ name, model, createdMs }) =>
    createdMs > after && createdMs < before && (status ?? 'InService') === 'InService' && (wantedModel ?? model) === model && name.includes(part)
}

function reply({ requestId }: ServiceContext, body: object, status = 200): WireReply {
  return jsonReply(body, status, { 'x-amzn-requestid': requestId })
}
