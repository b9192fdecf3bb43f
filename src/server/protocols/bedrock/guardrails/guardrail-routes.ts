/** The guardrail operations of Bedrock's control plane. */
import { Fields, isJsonObject, unsupported } from '#server/fields'
import type { Incoming, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { needGuardrails } from '#server/protocols/bedrock/apply-guardrail'
import { checkGuardrailId, checkGuardrailVersion } from '#server/protocols/bedrock/call-terms'
import { jsonReply } from '#server/wire-reply'
import { readPageSize, readToken } from '../list-page.ts'
import { readRequestToken } from '../request-token.ts'
import { encodeGuardrail, encodeSummary, guardrailArn, isoTime } from './encode-guardrail.ts'
import { inCallersWords } from './definition-places.ts'
import { DEFINITION_RULES, type JudgeModels, readDefinition } from './read-definition.ts'

const DRAFT = 'DRAFT'
const MAX_TAGS = 2
/** Tags by which a guardrail is told which models of this server judge meaning. */
const EMBEDDING_TAG = 'inferd:embeddingModel'
const CLASSIFIER_TAG = 'inferd:classifierModel'

export const guardrailRoutes: readonly ProtocolRoute[] = [
  { kind: 'service', method: 'POST', path: '/guardrails', scope: 'operate', handle: create },
  { kind: 'service', method: 'GET', path: '/guardrails', scope: 'read', handle: list },
  { kind: 'service', method: 'GET', path: '/guardrails/:guardrailId', scope: 'read', handle: get },
  { kind: 'service', method: 'POST', path: '/guardrails/:guardrailId', scope: 'operate', handle: createVersion },
  { kind: 'service', method: 'PUT', path: '/guardrails/:guardrailId', scope: 'operate', handle: update },
  { kind: 'service', method: 'DELETE', path: '/guardrails/:guardrailId', scope: 'operate', handle: remove },
]

async function create({ body }: Incoming, context: ServiceContext): Promise<WireReply> {
  const fields = new Fields(body)
  fields.check({ ...DEFINITION_RULES, tags: 'read', clientRequestToken: 'read' })
  const definition = readDefinition(fields, readTags(fields))
  const { id, version, createdMs } = await inCallersWords(
    needGuardrails(context.services).create(context.principal.team, definition, readRequestToken(fields)),
  )
  return reply(context, { guardrailId: id, guardrailArn: guardrailArn(id), version, createdAt: isoTime(createdMs) }, 202)
}

async function update(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const guardrails = needGuardrails(context.services)
  const query = queryOf(incoming, context)
  const fields = new Fields(incoming.body)
  fields.check(DEFINITION_RULES)
  const { policy } = await guardrails.get({ ...query, version: DRAFT })
  const { embeddingModel, classifierModel } = policy
  const definition = readDefinition(fields, { embeddingModel, classifierModel })
  const { id, version, updatedMs } = await inCallersWords(guardrails.update(query, definition))
  return reply(context, { guardrailId: id, guardrailArn: guardrailArn(id), version, updatedAt: isoTime(updatedMs) }, 202)
}

async function createVersion(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const fields = new Fields(incoming.body)
  fields.check({ description: 'read', clientRequestToken: 'read' })
  const description = fields.text('description', { maxLength: 200 }) ?? ''
  const { id, version } = await needGuardrails(context.services).createVersion(queryOf(incoming, context), {
    description,
    token: readRequestToken(fields),
  })
  return reply(context, { guardrailId: id, version }, 202)
}

async function get(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const version = incoming.query.get('guardrailVersion') ?? DRAFT
  checkGuardrailVersion(version, 'guardrailVersion')
  return reply(context, encodeGuardrail(await needGuardrails(context.services).get({ ...queryOf(incoming, context), version })))
}

/** Drafts of all, or all versions of one; a page begins where its token says. */
async function list({ query }: Incoming, context: ServiceContext): Promise<WireReply> {
  const identifier = query.get('guardrailIdentifier')
  const pageSize = readPageSize(query.get('maxResults'))
  const start = readToken(query.get('nextToken'))
  const guardrails = needGuardrails(context.services)
  const { team } = context.principal
  if (identifier !== null) checkGuardrailId(identifier, 'guardrailIdentifier')
  const wanted = await (identifier === null ? guardrails.list(team) : guardrails.versions({ team, guardrail: identifier }))
  const end = start + pageSize
  const page = wanted.slice(start, end).map(encodeSummary)
  return reply(context, { guardrails: page, ...(end < wanted.length ? { nextToken: String(end) } : {}) })
}

async function remove(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const version = incoming.query.get('guardrailVersion')
  if (version !== null) checkGuardrailVersion(version, 'guardrailVersion')
  await needGuardrails(context.services).delete({ ...queryOf(incoming, context), version })
  return reply(context, {}, 202)
}

function reply({ requestId }: ServiceContext, body: object, status = 200): WireReply {
  return jsonReply(body, status, { 'x-amzn-requestid': requestId })
}

function queryOf({ params }: Incoming, { principal }: ServiceContext): { readonly team: string; readonly guardrail: string } {
  const guardrail = params['guardrailId'] ?? ''
  checkGuardrailId(guardrail, 'guardrailIdentifier')
  return { team: principal.team, guardrail }
}

function readTags(fields: Fields): JudgeModels {
  const models: Record<string, string | null> = { [EMBEDDING_TAG]: null, [CLASSIFIER_TAG]: null }
  for (const [index, item] of (fields.list('tags', { maxItems: MAX_TAGS }) ?? []).entries()) {
    const tag = new Fields(isJsonObject(item) ? item : {}, `tags[${index}]`)
    tag.check({ key: 'read', value: 'read' })
    const key = tag.requiredText('key')
    if (!Object.hasOwn(models, key)) throw unsupported(tag.pathOf('key'), `${tag.pathOf('key')} must be ${EMBEDDING_TAG} or ${CLASSIFIER_TAG}`)
    models[key] = tag.requiredText('value', { minLength: 1, maxLength: 256 })
  }
  return { embeddingModel: models[EMBEDDING_TAG] ?? null, classifierModel: models[CLASSIFIER_TAG] ?? null }
}
