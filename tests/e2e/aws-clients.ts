/** The unmodified clients of AWS, towards a server of ours. */
import { ApplicationAutoScalingClient } from '@aws-sdk/client-application-auto-scaling'
import {
  CreateEndpointCommand,
  CreateEndpointConfigCommand,
  CreateModelCommand,
  SageMakerClient,
  waitUntilEndpointInService,
} from '@aws-sdk/client-sagemaker'
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime'

export const ROLE = 'arn:aws:iam::000000000000:role/anything'
export const WAIT = { maxWaitTime: 60, minDelay: 1, maxDelay: 1 }
export const JSON_TYPE = 'application/json'

export interface AwsClients {
  readonly control: SageMakerClient
  readonly runtime: SageMakerRuntimeClient
  readonly scaling: ApplicationAutoScalingClient
}

export function awsClients(endpoint: string): AwsClients {
  const aws = { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'any', secretAccessKey: 'any' }, maxAttempts: 1 }
  return { control: new SageMakerClient(aws), runtime: new SageMakerRuntimeClient(aws), scaling: new ApplicationAutoScalingClient(aws) }
}

export async function makeModel({ control }: AwsClients, name: string, served = 'inferd-chat'): Promise<void> {
  const container = { Image: 'inferd', Environment: { HF_MODEL_ID: served, INFERD_KV_CACHE_MIB: '16' } }
  await control.send(new CreateModelCommand({ ModelName: name, ExecutionRoleArn: ROLE, PrimaryContainer: container }))
}

export interface VariantTerms {
  readonly model: string
  readonly name?: string
  readonly count?: number
  readonly weight?: number
}

export async function makeConfig({ control }: AwsClients, name: string, ...variants: readonly VariantTerms[]): Promise<void> {
  const listed = variants.map(({ model, name: variant = 'main', count = 1, weight = 1 }) => ({
    VariantName: variant,
    ModelName: model,
    InstanceType: 'ml.m5.large' as const,
    InitialInstanceCount: count,
    InitialVariantWeight: weight,
  }))
  await control.send(new CreateEndpointConfigCommand({ EndpointConfigName: name, ProductionVariants: listed }))
}

export async function makeEndpoint({ control }: AwsClients, name: string, config: string): Promise<void> {
  await control.send(new CreateEndpointCommand({ EndpointName: name, EndpointConfigName: config }))
  await waitUntilEndpointInService({ client: control, ...WAIT }, { EndpointName: name })
}

export interface Answer {
  readonly text: string
  readonly variant: string | undefined
}

export async function ask(
  { runtime }: AwsClients,
  endpoint: string,
  more: { readonly TargetVariant?: string; readonly tokens?: number } = {},
): Promise<Answer> {
  const { TargetVariant, tokens = 8 } = more
  const body = { messages: [{ role: 'user', content: 'What is the capital of France?' }], max_tokens: tokens, temperature: 0 }
  const answer = await runtime.send(
    new InvokeEndpointCommand({
      EndpointName: endpoint,
      ContentType: JSON_TYPE,
      Body: JSON.stringify(body),
      ...(TargetVariant === undefined ? {} : { TargetVariant }),
    }),
  )
  const parsed = JSON.parse(Buffer.from(answer.Body).toString()) as {
    readonly choices: readonly { readonly message: { readonly content: string } }[]
  }
  return { text: parsed.choices[0]!.message.content, variant: answer.InvokedProductionVariant }
}
