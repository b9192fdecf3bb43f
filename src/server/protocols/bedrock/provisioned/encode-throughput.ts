/** Provisioned throughput as GetProvisionedModelThroughput and its list show it. */
import type { JsonRecord } from '#contract/generate'
import type { Commitment, ProvisionedThroughput } from '#contract/provisioned'
import { foundationModelArn } from '../foundation-models/model-routes.ts'
import { isoTime } from '../guardrails/encode-guardrail.ts'

const ARN_PREFIX = 'arn:aws:bedrock:local:000000000000:provisioned-model/'
const COMMITMENTS: Readonly<Record<Commitment, string | null>> = { none: null, 'one-month': 'OneMonth', 'six-months': 'SixMonths' }

export function throughputArn(id: string): string {
  return `${ARN_PREFIX}${id}`
}

/** What stands at the end of an ARN of provisioned throughput; anything else as it is. */
export function throughputIdOf(identifier: string): string {
  return /^arn:aws[\w-]*:bedrock:[a-z0-9-]*:\d*:provisioned-model\/(.+)$/.exec(identifier)?.[1] ?? identifier
}

export function commitmentOf(word: string): Commitment | null {
  return (Object.keys(COMMITMENTS) as Commitment[]).find((each) => COMMITMENTS[each] === word) ?? null
}

/** There are no other models behind it, and units are there at once: what is and what is wanted are the same. */
export function encodeThroughput({ id, name, model, units, commitment, commitmentEndsMs, createdMs, modifiedMs }: ProvisionedThroughput): JsonRecord {
  const modelArn = foundationModelArn(model)
  return {
    provisionedModelName: name,
    provisionedModelArn: throughputArn(id),
    modelArn,
    desiredModelArn: modelArn,
    foundationModelArn: modelArn,
    modelUnits: units,
    desiredModelUnits: units,
    status: 'InService',
    ...(commitment === 'none' ? {} : { commitmentDuration: COMMITMENTS[commitment] }),
    ...(commitmentEndsMs === null ? {} : { commitmentExpirationTime: isoTime(commitmentEndsMs) }),
    creationTime: isoTime(createdMs),
    lastModifiedTime: isoTime(modifiedMs),
  }
}
