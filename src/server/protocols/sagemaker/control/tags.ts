/** Tags of the control plane: in requests that make something, and of what is there. */
import { InferdError } from '#contract/errors'
import type { Tag, TagDesk, TagOwner } from '#contract/tags'
import { invalid, unsupported } from '#server/fields'
import type { JsonObject, ServiceContext } from '#server/operation'

const RESERVED_PREFIX = 'aws:'

/** `Tags` of members that were checked. Throws invalid_parameter for a key that is given twice or is AWS's own. */
export function readTags(body: JsonObject): readonly Tag[] {
  const listed = (body['Tags'] ?? []) as readonly { readonly Key: string; readonly Value: string }[]
  const keys = new Set<string>()
  for (const { Key: key } of listed) {
    if (key.toLowerCase().startsWith(RESERVED_PREFIX)) throw invalid('Tags', `Tags: keys that begin with ${RESERVED_PREFIX} are reserved`)
    if (keys.has(key)) throw invalid('Tags', 'Tags: a key is given twice')
    keys.add(key)
  }
  return listed.map(({ Key, Value }) => ({ key: Key, value: Value }))
}

/** Of what has just been made. */
export async function keepTags(owner: TagOwner, tags: readonly Tag[], { services }: ServiceContext): Promise<void> {
  if (tags.length > 0) await services.tags?.put(owner, tags)
}

/** Throws unsupported_parameter where nothing has tags. */
export function needTags({ services: { tags } }: ServiceContext): TagDesk {
  if (tags === null) throw new InferdError('unsupported_parameter', 'this server keeps no tags')
  return tags
}

/** What an ARN names, whatever its region and account. Throws unsupported_parameter for what can have no tags here. */
export function thingOf(arn: string): { readonly kind: 'model' | 'endpoint-config' | 'endpoint' | 'transform-job'; readonly name: string } {
  const [kind = '', ...rest] = arn.split(':').slice(5).join(':').split('/')
  if (kind !== 'model' && kind !== 'endpoint-config' && kind !== 'endpoint' && kind !== 'transform-job')
    throw unsupported('ResourceArn', 'ResourceArn: models, endpoint configurations, endpoints and transform jobs have tags here')
  return { kind, name: rest.join('/') }
}
