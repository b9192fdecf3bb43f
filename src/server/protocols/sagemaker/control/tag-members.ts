/** The members of tags. Bounds and patterns: the service model of SageMaker, 2017-07-24. */
import type { MemberRule, MemberRules } from '#server/aws-json/member-rules'

const TEXT = '([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)'
const KEY = { kind: 'text', minLength: 1, maxLength: 128, pattern: TEXT } as const
const ARN: MemberRule = { kind: 'text', maxLength: 256, pattern: 'arn:aws[a-z-]*:sagemaker:[a-z0-9-]*:[0-9]{12}:.+', isRequired: true }

export const TAGS = {
  kind: 'list',
  maxItems: 50,
  item: {
    kind: 'structure',
    members: { Key: { ...KEY, isRequired: true }, Value: { kind: 'text', maxLength: 256, pattern: TEXT, isRequired: true } },
  },
} as const satisfies MemberRule

export const ADD_TAGS: MemberRules = { ResourceArn: ARN, Tags: { ...TAGS, isRequired: true } }
export const DELETE_TAGS: MemberRules = { ResourceArn: ARN, TagKeys: { kind: 'list', maxItems: 50, item: KEY, isRequired: true } }
export const LIST_TAGS: MemberRules = {
  ResourceArn: ARN,
  NextToken: { kind: 'text', maxLength: 8192 },
  MaxResults: { kind: 'integer', min: 50, max: Number.MAX_SAFE_INTEGER },
}
