/** AsyncInferenceConfig of an endpoint configuration. Names, bounds, patterns: the service model of SageMaker, 2017-07-24. */
import type { AsyncTerms } from '#contract/deployment'
import { Fields, unsupported } from '#server/fields'
import type { JsonObject } from '#server/operation'
import type { MemberRule } from '#server/aws-json/member-rules'

const MEMBER = 'AsyncInferenceConfig'
const FOLDER: MemberRule = { kind: 'text', maxLength: 512, pattern: '(https|s3)://([^/])/?(.*)' }
const TOPIC: MemberRule = { kind: 'text', maxLength: 2048, pattern: 'arn:aws[a-z\\-]*:sns:[a-z0-9\\-]*:[0-9]{12}:[a-zA-Z0-9_.-]+' }
const MAX_CONCURRENT = { min: 1, max: 1000 }
const INCLUDED = { SUCCESS_NOTIFICATION_TOPIC: 'success', ERROR_NOTIFICATION_TOPIC: 'error' } as const

export const ASYNC_INFERENCE: MemberRule = {
  kind: 'structure',
  members: {
    ClientConfig: { kind: 'structure', members: { MaxConcurrentInvocationsPerInstance: { kind: 'integer', ...MAX_CONCURRENT } } },
    OutputConfig: {
      kind: 'structure',
      isRequired: true,
      members: {
        KmsKeyId: { kind: 'text', maxLength: 2048, pattern: '[a-zA-Z0-9:/_-]*' },
        S3OutputPath: FOLDER,
        S3FailurePath: FOLDER,
        NotificationConfig: {
          kind: 'structure',
          members: {
            SuccessTopic: TOPIC,
            ErrorTopic: TOPIC,
            IncludeInferenceResponseIn: { kind: 'list', maxItems: 2, item: { kind: 'text', words: Object.keys(INCLUDED) } },
          },
        },
      },
    },
  },
}

/** Of members that were checked; null = there is none. Throws unsupported_parameter for a key to encrypt with and for folders elsewhere. */
export function readAsyncTerms(body: JsonObject): AsyncTerms | null {
  if ((body[MEMBER] ?? null) === null) return null
  const config = new Fields(body).requiredFields(MEMBER)
  const output = config.requiredFields('OutputConfig')
  if ((output.text('KmsKeyId') ?? '') !== '') throw unsupported('KmsKeyId', 'KmsKeyId is not offered: objects are encrypted as their bucket says')
  const notification = output.nestedFields('NotificationConfig')
  const included = (notification?.value('IncludeInferenceResponseIn') ?? null) as readonly (keyof typeof INCLUDED)[] | null
  return {
    outputUri: folderIn(output, 'S3OutputPath'),
    failureUri: folderIn(output, 'S3FailurePath'),
    maxConcurrent: config.nestedFields('ClientConfig')?.integer('MaxConcurrentInvocationsPerInstance', MAX_CONCURRENT) ?? null,
    successTopic: topicIn(notification, 'SuccessTopic'),
    errorTopic: topicIn(notification, 'ErrorTopic'),
    includeResponseIn: included?.map((topic) => INCLUDED[topic]) ?? null,
  }
}

function folderIn(fields: Fields, name: string): string | null {
  const uri = fields.text(name)
  if (uri !== null && !uri.startsWith('s3://')) throw unsupported(name, `${name} must be s3://bucket/prefix: nothing is sent to other servers`)
  return uri
}

/** The name at its end; region and account stand for nothing here. */
function topicIn(fields: Fields | null, name: string): string | null {
  return fields?.text(name)?.split(':').at(-1) ?? null
}
