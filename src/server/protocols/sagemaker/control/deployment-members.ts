/** The members of the operations on models, endpoint configurations and endpoints. Names, bounds, patterns: the service model of SageMaker, 2017-07-24. */
import type { MemberRule, MemberRules } from '#server/aws-json/member-rules'
import { ASYNC_INFERENCE } from './async-inference.ts'
import { DATA_CAPTURE } from './data-capture.ts'
import { TAGS } from './tag-members.ts'

type TextRule = Extract<MemberRule, { readonly kind: 'text' }>

const NAME: TextRule = { kind: 'text', maxLength: 63, pattern: '[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}', isRequired: true }
const MODEL_NAME: TextRule = { ...NAME, pattern: '[a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?' }
const ROLE: MemberRule = { kind: 'text', minLength: 20, maxLength: 2048, pattern: 'arn:aws[a-z\\-]*:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+' }
const KMS_KEY: MemberRule = { kind: 'text', maxLength: 2048, pattern: '[a-zA-Z0-9:/_-]*' }
const MODEL_URI: MemberRule = { kind: 'text', maxLength: 1024, pattern: '(https|s3)://([^/]+)/?(.*)' }
const COUNT: MemberRule = { kind: 'integer', min: 0, max: Number.MAX_SAFE_INTEGER }
const SECONDS: MemberRule = { kind: 'integer', min: 0, max: 3600 }

const CONTAINER: MemberRules = {
  ContainerHostname: { kind: 'text', maxLength: 63, pattern: '[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}' },
  Image: { kind: 'text', maxLength: 255, pattern: '[\\S]+' },
  Mode: { kind: 'text', words: ['SingleModel', 'MultiModel'] },
  ModelDataUrl: MODEL_URI,
  ModelDataSource: {
    kind: 'structure',
    members: {
      S3DataSource: {
        kind: 'structure',
        isRequired: true,
        members: {
          S3Uri: { ...MODEL_URI, isRequired: true },
          S3DataType: { kind: 'text', words: ['S3Prefix', 'S3Object'], isRequired: true },
          CompressionType: { kind: 'text', words: ['None', 'Gzip'], isRequired: true },
        },
      },
    },
  },
  Environment: { kind: 'map', maxItems: 100 },
}

export const CREATE_MODEL: MemberRules = {
  ModelName: MODEL_NAME,
  PrimaryContainer: { kind: 'structure', members: CONTAINER },
  Containers: { kind: 'list', maxItems: 15, item: { kind: 'structure', members: CONTAINER } },
  ExecutionRoleArn: ROLE,
  Tags: TAGS,
  EnableNetworkIsolation: { kind: 'boolean' },
}

const SERVERLESS: MemberRule = {
  kind: 'structure',
  members: {
    MemorySizeInMB: { kind: 'integer', min: 1024, max: 6144, isRequired: true },
    MaxConcurrency: { kind: 'integer', min: 1, max: 200, isRequired: true },
    ProvisionedConcurrency: { kind: 'integer', min: 1, max: 200 },
  },
}

const VARIANTS: MemberRule = {
  kind: 'list',
  maxItems: 10,
  item: {
    kind: 'structure',
    members: {
      VariantName: NAME,
      ModelName: MODEL_NAME,
      InitialInstanceCount: { kind: 'integer', min: 1, max: Number.MAX_SAFE_INTEGER },
      InstanceType: { kind: 'text', maxLength: 64, pattern: 'ml\\.[a-z0-9-]+\\.[a-z0-9-]+' },
      InitialVariantWeight: { kind: 'number', min: 0 },
      ServerlessConfig: SERVERLESS,
      VolumeSizeInGB: { kind: 'integer', min: 1, max: 512 },
      ModelDataDownloadTimeoutInSeconds: { kind: 'integer', min: 60, max: 3600 },
      ContainerStartupHealthCheckTimeoutInSeconds: { kind: 'integer', min: 60, max: 3600 },
    },
  },
}

export const CREATE_CONFIG: MemberRules = {
  EndpointConfigName: NAME,
  ProductionVariants: { ...VARIANTS, isRequired: true },
  ShadowProductionVariants: VARIANTS,
  DataCaptureConfig: DATA_CAPTURE,
  AsyncInferenceConfig: ASYNC_INFERENCE,
  Tags: TAGS,
  KmsKeyId: KMS_KEY,
  ExecutionRoleArn: ROLE,
  EnableNetworkIsolation: { kind: 'boolean' },
}

const ALARM_NAME: MemberRule = { kind: 'text', minLength: 1, maxLength: 255, pattern: '(?!\\s*$).+', isRequired: true }

const SIZE: MemberRule = {
  kind: 'structure',
  members: {
    Type: { kind: 'text', words: ['INSTANCE_COUNT', 'CAPACITY_PERCENT'], isRequired: true },
    Value: { kind: 'integer', min: 1, max: 100_000_000, isRequired: true },
  },
}

const EXECUTION_TIMEOUT: MemberRule = { kind: 'integer', min: 600, max: 28_800 }

const DEPLOYMENT_CONFIG: MemberRule = {
  kind: 'structure',
  members: {
    BlueGreenUpdatePolicy: {
      kind: 'structure',
      members: {
        TrafficRoutingConfiguration: {
          kind: 'structure',
          isRequired: true,
          members: {
            Type: { kind: 'text', words: ['ALL_AT_ONCE', 'CANARY', 'LINEAR'], isRequired: true },
            WaitIntervalInSeconds: { ...SECONDS, isRequired: true },
            CanarySize: SIZE,
            LinearStepSize: SIZE,
          },
        },
        TerminationWaitInSeconds: SECONDS,
        MaximumExecutionTimeoutInSeconds: EXECUTION_TIMEOUT,
      },
    },
    RollingUpdatePolicy: {
      kind: 'structure',
      members: {
        MaximumBatchSize: { ...SIZE, isRequired: true },
        WaitIntervalInSeconds: { ...SECONDS, isRequired: true },
        MaximumExecutionTimeoutInSeconds: EXECUTION_TIMEOUT,
        RollbackMaximumBatchSize: SIZE,
      },
    },
    AutoRollbackConfiguration: {
      kind: 'structure',
      members: {
        Alarms: {
          kind: 'list',
          maxItems: 10,
          item: { kind: 'structure', members: { AlarmName: ALARM_NAME } },
        },
      },
    },
  },
}

export const CREATE_ENDPOINT: MemberRules = { EndpointName: NAME, EndpointConfigName: NAME, DeploymentConfig: DEPLOYMENT_CONFIG, Tags: TAGS }

export const UPDATE_ENDPOINT: MemberRules = {
  EndpointName: NAME,
  EndpointConfigName: NAME,
  DeploymentConfig: DEPLOYMENT_CONFIG,
  RetainAllVariantProperties: { kind: 'boolean' },
  ExcludeRetainedVariantProperties: {
    kind: 'list',
    maxItems: 3,
    item: {
      kind: 'structure',
      members: { VariantPropertyType: { kind: 'text', words: ['DesiredInstanceCount', 'DesiredWeight', 'DataCaptureConfig'], isRequired: true } },
    },
  },
  RetainDeploymentConfig: { kind: 'boolean' },
}

export const CHANGE_VARIANTS: MemberRules = {
  EndpointName: NAME,
  DesiredWeightsAndCapacities: {
    kind: 'list',
    maxItems: 10,
    isRequired: true,
    item: { kind: 'structure', members: { VariantName: NAME, DesiredWeight: { kind: 'number', min: 0 }, DesiredInstanceCount: COUNT } },
  },
}

export function nameMember(member: string): MemberRules {
  return { [member]: member === 'ModelName' ? MODEL_NAME : NAME }
}
