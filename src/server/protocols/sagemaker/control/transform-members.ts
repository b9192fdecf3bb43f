/** The members of the transform operations. Names, bounds and patterns: the service model of SageMaker, 2017-07-24. */
import type { MemberRule, MemberRules } from '#server/aws-json/member-rules'
import { TAGS } from './tag-members.ts'

const URI: MemberRule = { kind: 'text', maxLength: 1024, pattern: '(https|s3)://([^/]+)/?(.*)', isRequired: true }
const KMS_KEY: MemberRule = { kind: 'text', maxLength: 2048, pattern: '[a-zA-Z0-9:/_-]*' }
/** Any in AWS; here what a header holds. */
const MEDIA_TYPE: MemberRule = { kind: 'text', maxLength: 256, pattern: '[\\x20-\\x7e]*' }
const JSON_PATH: MemberRule = { kind: 'text', maxLength: 63 }
const JOB_NAME: MemberRule = { kind: 'text', minLength: 1, maxLength: 63, pattern: '[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}', isRequired: true }
const EXPERIMENT_NAME: MemberRule = { kind: 'text', minLength: 1, maxLength: 120, pattern: '[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}' }

export const CREATE_MEMBERS: MemberRules = {
  TransformJobName: JOB_NAME,
  ModelName: { kind: 'text', maxLength: 63, pattern: '[a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?', isRequired: true },
  MaxConcurrentTransforms: { kind: 'integer', min: 0 },
  ModelClientConfig: {
    kind: 'structure',
    members: {
      InvocationsTimeoutInSeconds: { kind: 'integer', min: 1, max: 3600 },
      InvocationsMaxRetries: { kind: 'integer', min: 0, max: 3 },
    },
  },
  MaxPayloadInMB: { kind: 'integer', min: 0 },
  BatchStrategy: { kind: 'text', words: ['MultiRecord', 'SingleRecord'] },
  Environment: { kind: 'map', maxItems: 16 },
  TransformInput: {
    kind: 'structure',
    isRequired: true,
    members: {
      DataSource: {
        kind: 'structure',
        isRequired: true,
        members: {
          S3DataSource: {
            kind: 'structure',
            isRequired: true,
            members: {
              S3DataType: { kind: 'text', words: ['ManifestFile', 'S3Prefix', 'AugmentedManifestFile', 'Converse'], isRequired: true },
              S3Uri: URI,
            },
          },
        },
      },
      ContentType: MEDIA_TYPE,
      CompressionType: { kind: 'text', words: ['None', 'Gzip'] },
      SplitType: { kind: 'text', words: ['None', 'Line', 'RecordIO', 'TFRecord'] },
    },
  },
  TransformOutput: {
    kind: 'structure',
    isRequired: true,
    members: { S3OutputPath: URI, Accept: MEDIA_TYPE, AssembleWith: { kind: 'text', words: ['None', 'Line'] }, KmsKeyId: KMS_KEY },
  },
  DataCaptureConfig: {
    kind: 'structure',
    members: { DestinationS3Uri: URI, KmsKeyId: KMS_KEY, GenerateInferenceId: { kind: 'boolean' } },
  },
  TransformResources: {
    kind: 'structure',
    isRequired: true,
    members: {
      InstanceType: { kind: 'text', maxLength: 64, pattern: 'ml\\.[a-z0-9-]+\\.[a-z0-9-]+', isRequired: true },
      InstanceCount: { kind: 'integer', min: 1, isRequired: true },
      VolumeKmsKeyId: KMS_KEY,
      TransformAmiVersion: { kind: 'text', minLength: 1, maxLength: 63, pattern: '[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*' },
    },
  },
  DataProcessing: {
    kind: 'structure',
    members: { InputFilter: JSON_PATH, OutputFilter: JSON_PATH, JoinSource: { kind: 'text', words: ['Input', 'None'] } },
  },
  Tags: TAGS,
  ExperimentConfig: {
    kind: 'structure',
    members: {
      ExperimentName: EXPERIMENT_NAME,
      TrialName: EXPERIMENT_NAME,
      TrialComponentDisplayName: EXPERIMENT_NAME,
      RunName: EXPERIMENT_NAME,
    },
  },
}

export const NAME_MEMBERS: MemberRules = { TransformJobName: JOB_NAME }

export const STATUSES = ['InProgress', 'Completed', 'Failed', 'Stopping', 'Stopped'] as const
