/** The body of CreateModelInvocationJob: what is to be run, from which objects to which. */
import type { BatchObject } from '#contract/batch'
import { InferdError } from '#contract/errors'
import type { ObjectStores } from '#contract/objects'
import { Fields, invalid } from '#server/fields'
import type { JsonObject } from '#server/operation'
import { modelName } from '../model-id.ts'
import type { JobTerms } from './encode-job.ts'

/** Hours. */
const DEFAULT_TIMEOUT = 24
const MAX_TIMEOUT = 168
const MAX_OBJECTS = 500
const JSONL = '.jsonl'
const JOB_NAME = /^[a-zA-Z0-9][a-zA-Z0-9+.-]{0,62}$/
const REQUEST_TOKEN = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,254}[a-zA-Z0-9])?$/
/** What needs something of AWS that this server does not have. */
const NOT_OFFERED = (value: unknown): boolean => Array.isArray(value) && value.length === 0

/** Throws invalid_parameter and unsupported_parameter. The role is read and plays no part: who calls is known by the key. */
export function readTerms(body: JsonObject): JobTerms {
  const fields = new Fields(body)
  fields.check({
    jobName: 'read',
    roleArn: 'read',
    clientRequestToken: 'read',
    modelId: 'read',
    inputDataConfig: 'read',
    outputDataConfig: 'read',
    timeoutDurationInHours: 'read',
    modelInvocationType: 'read',
    vpcConfig: () => false,
    tags: NOT_OFFERED,
  })
  const jobName = fields.requiredText('jobName')
  if (!JOB_NAME.test(jobName)) throw invalid('jobName', 'jobName must have 1 to 63 letters, digits, and + - . behind the first')
  const modelId = fields.requiredText('modelId', { minLength: 1, maxLength: 2048 })
  modelName(modelId)
  const requestToken = fields.text('clientRequestToken')
  if (requestToken !== null && !REQUEST_TOKEN.test(requestToken)) {
    throw invalid('clientRequestToken', 'clientRequestToken must have letters, digits and inner dashes only')
  }
  return {
    jobName,
    roleArn: fields.requiredText('roleArn', { maxLength: 2048 }),
    modelId,
    inputUri: readUri(fields, 'inputDataConfig', 's3InputDataConfig'),
    outputUri: readUri(fields, 'outputDataConfig', 's3OutputDataConfig'),
    timeoutHours: fields.integer('timeoutDurationInHours', { min: DEFAULT_TIMEOUT, max: MAX_TIMEOUT }) ?? DEFAULT_TIMEOUT,
    invocationType: fields.word('modelInvocationType', ['InvokeModel', 'Converse']) ?? 'InvokeModel',
    requestToken,
  }
}

function readUri(fields: Fields, key: string, inner: string): string {
  const config = fields.requiredFields(key)
  config.check({ [inner]: 'read' })
  const location = config.requiredFields(inner)
  location.check({ s3Uri: 'read', s3InputFormat: 'read', s3BucketOwner: () => false, s3EncryptionKeyId: () => false })
  location.word('s3InputFormat', ['JSONL'])
  return location.requiredText('s3Uri', { minLength: 1, maxLength: 1024 })
}

export interface ObjectSearch {
  readonly objects: ObjectStores
  readonly team: string
  readonly signal: AbortSignal
}

/** The object of that name, or all `.jsonl` below it. Throws invalid_parameter when there is none. */
export async function findInputs(uri: string, { objects, team, signal }: ObjectSearch): Promise<readonly BatchObject[]> {
  const { bucket, bucketName, key } = locateFor(objects, team, uri)
  const single = key === '' || key.endsWith('/') ? null : await bucket.head(key, signal)
  if (single !== null) return [{ uri, etag: single.etag, name: key.slice(key.lastIndexOf('/') + 1) }]
  const prefix = key === '' || key.endsWith('/') ? key : `${key}/`
  const found: BatchObject[] = []
  for (let afterKey: string | null = null; ;) {
    const page = await bucket.list(prefix, afterKey, MAX_OBJECTS, signal)
    for (const meta of page) {
      if (meta.key.endsWith(JSONL)) found.push({ uri: objects.uriOf(bucketName, meta.key), etag: meta.etag, name: meta.key.slice(prefix.length) })
    }
    if (found.length > MAX_OBJECTS) throw invalid('inputDataConfig', `inputDataConfig: at most ${MAX_OBJECTS} objects may be named by one prefix`)
    if (page.length < MAX_OBJECTS) break
    afterKey = page.at(-1)?.key ?? null
  }
  if (found.length === 0) throw invalid('inputDataConfig', `inputDataConfig: there is no object ${uri}, and none below it that ends in ${JSONL}`)
  return found
}

/** A bucket that is not there is a wrong argument here, not a missing job. */
export function locateFor(objects: ObjectStores, team: string, uri: string): ReturnType<ObjectStores['locate']> {
  try {
    return objects.locate(team, uri)
  } catch (error) {
    if (error instanceof InferdError && error.code === 'resource_not_found') throw invalid('s3Uri', `${error.message}: ${uri}`)
    throw error
  }
}
