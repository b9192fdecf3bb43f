/** DataCaptureConfig of an endpoint configuration, and its summary in DescribeEndpoint. Names, bounds, patterns: the service model of SageMaker, 2017-07-24. */
import type { CaptureTerms } from '#contract/capture'
import { Fields, invalid, unsupported } from '#server/fields'
import type { JsonObject } from '#server/operation'
import type { MemberRule } from '#server/aws-json/member-rules'

const MEMBER = 'DataCaptureConfig'
const CONTENT_TYPES: MemberRule = {
  kind: 'list',
  maxItems: 10,
  item: { kind: 'text', minLength: 1, maxLength: 256, pattern: '[a-zA-Z0-9](-*[a-zA-Z0-9])*\\/[a-zA-Z0-9](-*[a-zA-Z0-9.])*' },
}

export const DATA_CAPTURE: MemberRule = {
  kind: 'structure',
  members: {
    EnableCapture: { kind: 'boolean' },
    InitialSamplingPercentage: { kind: 'integer', min: 0, max: 100, isRequired: true },
    DestinationS3Uri: { kind: 'text', maxLength: 512, pattern: '(https|s3)://([^/])/?(.*)', isRequired: true },
    KmsKeyId: { kind: 'text', maxLength: 2048, pattern: '[a-zA-Z0-9:/_-]*' },
    CaptureOptions: {
      kind: 'list',
      maxItems: 32,
      isRequired: true,
      item: {
        kind: 'structure',
        members: { CaptureMode: { kind: 'text', words: ['Input', 'Output', 'InputAndOutput'], isRequired: true } },
      },
    },
    CaptureContentTypeHeader: { kind: 'structure', members: { CsvContentTypes: CONTENT_TYPES, JsonContentTypes: CONTENT_TYPES } },
  },
}

/** Of members that were checked; null = there is none. Throws invalid_parameter, and unsupported_parameter for a key to encrypt with. */
export function readCapture(body: JsonObject, team: string): CaptureTerms | null {
  const config = (body[MEMBER] ?? null) as JsonObject | null
  if (config === null) return null
  if ((config['KmsKeyId'] ?? '') !== '')
    throw unsupported('DataCaptureConfig.KmsKeyId', 'KmsKeyId is not offered: objects are encrypted as their bucket says')
  const modes = (config['CaptureOptions'] as readonly JsonObject[]).map((option) => option['CaptureMode'])
  if (modes.length === 0) throw invalid('DataCaptureConfig.CaptureOptions', 'CaptureOptions must have at least one option')
  const types = (config['CaptureContentTypeHeader'] ?? {}) as JsonObject
  const fields = new Fields(config)
  return {
    isEnabled: fields.boolean('EnableCapture') ?? true,
    percent: fields.integer('InitialSamplingPercentage', { min: 0, max: 100 }) ?? 0,
    team,
    uri: fields.requiredText('DestinationS3Uri'),
    input: modes.some((mode) => mode !== 'Output'),
    output: modes.some((mode) => mode !== 'Input'),
    csvTypes: listOf(types, 'CsvContentTypes'),
    jsonTypes: listOf(types, 'JsonContentTypes'),
  }
}

export function encodeCaptureSummary({ isEnabled, percent, uri }: CaptureTerms): object {
  return {
    EnableCapture: isEnabled,
    CaptureStatus: isEnabled ? 'Started' : 'Stopped',
    CurrentSamplingPercentage: percent,
    DestinationS3Uri: uri,
    KmsKeyId: '',
  }
}

function listOf(types: JsonObject, member: string): readonly string[] {
  const list = types[member] as readonly string[] | null | undefined
  if (list?.length === 0) throw invalid(`DataCaptureConfig.CaptureContentTypeHeader.${member}`, `${member} must have at least one content type`)
  return (list ?? []).map((type) => type.toLowerCase())
}
