/** AddTags, ListTags, DeleteTags: on models, endpoint configurations and endpoints, and on transform jobs of the caller's team. */
import type { Scope } from '#contract/principal'
import type { Tag, TagOwner } from '#contract/tags'
import type { AwsJsonOperation } from '#server/aws-json/answer-operation'
import { checkMembers } from '#server/aws-json/member-rules'
import { invalid } from '#server/fields'
import type { JsonObject, ServiceContext } from '#server/operation'
import { deskFor, need } from './deployments.ts'
import { needTags, readTags, thingOf } from './tags.ts'
import { ADD_TAGS, DELETE_TAGS, LIST_TAGS } from './tag-members.ts'
import { needTransformNamed } from './transform-operations.ts'

export const TAG_OPERATIONS: Readonly<Record<string, AwsJsonOperation>> = {
  AddTags: async (body, context) => {
    checkMembers(body, ADD_TAGS)
    const tags = readTags(body)
    const owner = await ownerOf(body, context, 'operate')
    return { Tags: (await needTags(context).put(owner, tags)).map(encodeTag) }
  },
  ListTags: async (body, context) => {
    checkMembers(body, LIST_TAGS)
    // A thing has no more tags than the smallest page.
    if (Object.hasOwn(body, 'NextToken') && body['NextToken'] !== undefined) throw invalid('NextToken', 'NextToken is not of this list')
    const owner = await ownerOf(body, context, 'read')
    return { Tags: (await needTags(context).list(owner)).map(encodeTag) }
  },
  DeleteTags: async (body, context) => {
    checkMembers(body, DELETE_TAGS)
    const keys = body['TagKeys'] as readonly string[]
    if (keys.length === 0) throw invalid('TagKeys', 'TagKeys must have at least one key')
    await needTags(context).remove(await ownerOf(body, context, 'operate'), keys)
    return {}
  },
}

/** Throws invalid_parameter and resource_not_found for what is not there. */
async function ownerOf(body: JsonObject, context: ServiceContext, scope: Scope): Promise<TagOwner> {
  const { kind, name } = thingOf(String(body['ResourceArn']))
  if (kind === 'transform-job') {
    await needTransformNamed(name, context)
    return `transform-job/${context.principal.team}/${name}`
  }
  const desk = deskFor(context, scope)
  const found = kind === 'model' ? desk.findModel(name) : kind === 'endpoint' ? desk.findEndpoint(name) : desk.findConfig(name)
  need<object>(await found, kind, name)
  return `${kind}/${name}`
}

function encodeTag({ key, value }: Tag): object {
  return { Key: key, Value: value }
}
