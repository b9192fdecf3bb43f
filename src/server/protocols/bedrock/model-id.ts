/** The `modelId` of a path as a name of this server; what the name stands for is the platform's affair (aliases). */
import { invalid, unsupported } from '#server/fields'
import type { Incoming } from '#server/operation'

const MAX_ID_LENGTH = 2048
/** arn:partition:service:region:account:kind/name; the name may hold colons and slashes. */
const ARN = /^arn:aws[\w-]*:(?:bedrock|sagemaker):[a-z0-9-]*:\d*:([a-z-]+)\/(.+)$/
/** A cross-region inference profile is a geography before the id of a foundation model, which is `provider.model`. */
const PROFILE = /^(?:us|us-gov|eu|apac|jp|au|ca|sa|global)\.([a-z0-9-]+\..+)$/

/** Throws invalid_parameter, and unsupported_parameter for ids of what is no model. */
export function modelName(modelId: string): string {
  if (modelId.length === 0 || modelId.length > MAX_ID_LENGTH) throw invalid('modelId', `modelId must have 1 to ${MAX_ID_LENGTH} characters`)
  const [, kind, rest] = ARN.exec(modelId) ?? []
  if (kind === undefined && modelId.startsWith('arn:')) throw invalid('modelId', 'modelId is not the ARN of a model')
  if (kind === 'prompt') throw unsupported('modelId', 'modelId: prompts of prompt management are not supported by this server')
  const name = rest ?? modelId
  return PROFILE.exec(name)?.[1] ?? name
}

export function readModelName({ params }: Incoming): string {
  return modelName(params['modelId'] ?? '')
}
