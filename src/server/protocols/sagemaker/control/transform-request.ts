/** CreateTransformJob in, the spec of a job out. What this server does not have is refused by name, and nothing is left out silently. */
import { parseJsonPath } from '#base/json-path'
import type { JsonRecord } from '#contract/generate'
import { recordFormOf, type TransformSpec } from '#contract/transform'
import { Fields, invalid, unsupported } from '#server/fields'
import type { JsonObject } from '#server/operation'
import { checkMembers } from '#server/aws-json/member-rules'
import { CREATE_MEMBERS } from './transform-members.ts'

const BYTES_PER_MB = 2 ** 20
const DEFAULT_PAYLOAD_MB = 6
/** Of all payloads that run at a time, too. */
const MAX_PAYLOAD_MB = 100
const DEFAULT_CONCURRENT = 4
const DEFAULT_TIMEOUT_S = 600
const DEFAULT_RETRIES = 3
const ANY_COUNT = { min: 0, max: Number.MAX_SAFE_INTEGER }
const DEFAULT_TYPE = 'application/json'
const ANYTHING = '*/*'
const ALL = '$'

/** Throws malformed_body, invalid_parameter and unsupported_parameter. */
export function readTransformRequest(body: JsonObject): TransformSpec {
  checkMembers(body, CREATE_MEMBERS)
  const fields = new Fields(body)
  refuseUnoffered(fields)
  const input = readInput(fields.requiredFields('TransformInput'))
  const outputFields = fields.requiredFields('TransformOutput')
  const spec: TransformSpec = {
    name: fields.requiredText('TransformJobName'),
    model: fields.requiredText('ModelName'),
    input,
    output: {
      uri: locationIn(outputFields, 'S3OutputPath'),
      accept: outputFields.text('Accept') ?? ANYTHING,
      endsLines: outputFields.text('AssembleWith') === 'Line',
    },
    pace: readPace(fields),
    filters: readFilters(fields.nestedFields('DataProcessing'), input),
    request: shownAgain(body),
  }
  if (spec.output.uri.startsWith(input.uri))
    throw invalid('S3OutputPath', 'S3OutputPath must not begin with the S3Uri of the input: outputs would be inputs')
  return spec
}

function refuseUnoffered(fields: Fields): void {
  if (fields.value('DataCaptureConfig') !== undefined) throw unsupported('DataCaptureConfig', 'DataCaptureConfig is not offered by this server')
  if (Object.keys(fields.nested('Environment') ?? {}).length > 0)
    throw unsupported('Environment', 'Environment is not offered: models run already, and for others too')
  refuseKey(fields.requiredFields('TransformOutput'), 'KmsKeyId')
  refuseKey(fields.requiredFields('TransformResources'), 'VolumeKmsKeyId')
}

function refuseKey(fields: Fields, name: string): void {
  if ((fields.text(name) ?? '') !== '') throw unsupported(name, `${name} is not offered: the server encrypts no objects`)
}

function readInput(fields: Fields): TransformSpec['input'] {
  const source = fields.requiredFields('DataSource').requiredFields('S3DataSource')
  const dataType = source.requiredText('S3DataType')
  if (dataType !== 'S3Prefix' && dataType !== 'ManifestFile')
    throw unsupported('S3DataType', `S3DataType ${dataType} is not offered; use S3Prefix or ManifestFile`)
  const splitType = fields.text('SplitType') ?? 'None'
  if (splitType !== 'None' && splitType !== 'Line') throw unsupported('SplitType', `SplitType ${splitType} is not offered; use Line or None`)
  const contentType = fields.text('ContentType') ?? DEFAULT_TYPE
  const isSplit = splitType === 'Line'
  if (!isSplit && recordFormOf(contentType) === 'json' && /jsonl/i.test(contentType))
    throw invalid('SplitType', `SplitType must be Line for ${contentType}`)
  return {
    uri: locationIn(source, 'S3Uri'),
    isManifest: dataType === 'ManifestFile',
    contentType,
    isGzip: fields.text('CompressionType') === 'Gzip',
    isSplit,
  }
}

function locationIn(fields: Fields, name: string): string {
  const uri = fields.requiredText(name)
  if (!uri.startsWith('s3://')) throw unsupported(name, `${name} must be s3://bucket/key: nothing is fetched from other servers`)
  return uri
}

/** 0 is as if it were not given, where AWS asks the container. */
function readPace(fields: Fields): TransformSpec['pace'] {
  const payloadMb = fields.integer('MaxPayloadInMB', ANY_COUNT) ?? DEFAULT_PAYLOAD_MB
  if (payloadMb === 0) throw unsupported('MaxPayloadInMB', 'MaxPayloadInMB 0 is not offered: models of this server take no payload without a bound')
  if (payloadMb > MAX_PAYLOAD_MB) throw invalid('MaxPayloadInMB', `MaxPayloadInMB must not be greater than ${MAX_PAYLOAD_MB}`)
  const given = fields.integer('MaxConcurrentTransforms', ANY_COUNT) ?? 0
  const maxConcurrent = given === 0 ? Math.min(DEFAULT_CONCURRENT, Math.floor(MAX_PAYLOAD_MB / payloadMb)) : given
  if (maxConcurrent * payloadMb > MAX_PAYLOAD_MB)
    throw invalid('MaxConcurrentTransforms', `MaxConcurrentTransforms * MaxPayloadInMB must not be greater than ${MAX_PAYLOAD_MB} MB`)
  const client = fields.nestedFields('ModelClientConfig')
  return {
    maxPayloadBytes: payloadMb * BYTES_PER_MB,
    isMultiRecord: fields.text('BatchStrategy') !== 'SingleRecord',
    maxConcurrent,
    timeoutMs: (client?.integer('InvocationsTimeoutInSeconds', ANY_COUNT) ?? DEFAULT_TIMEOUT_S) * 1000,
    maxRetries: client?.integer('InvocationsMaxRetries', ANY_COUNT) ?? DEFAULT_RETRIES,
  }
}

function readFilters(fields: Fields | null, { contentType }: TransformSpec['input']): TransformSpec['filters'] {
  const filters = {
    input: filterIn(fields, 'InputFilter'),
    joinsInput: fields?.text('JoinSource') === 'Input',
    output: filterIn(fields, 'OutputFilter'),
  }
  const readsRecords = filters.joinsInput || filters.input !== ALL || filters.output !== ALL
  if (readsRecords && recordFormOf(contentType) === 'opaque')
    throw invalid('DataProcessing', 'DataProcessing is for input of ContentType text/csv, application/json and application/jsonlines')
  return filters
}

function filterIn(fields: Fields | null, name: string): string {
  const text = fields?.text(name) ?? ''
  if (text === '') return ALL
  if (parseJsonPath(text) === null) throw invalid(name, `${name} is not a JSONPath that batch transform has`)
  return text
}

function shownAgain(body: JsonObject): JsonRecord {
  return Object.fromEntries(Object.entries(body).filter(([name]) => name !== 'Tags')) as JsonRecord
}
