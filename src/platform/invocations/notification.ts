/**
 * What those who wait for a result are told: the message that SageMaker publishes, in the envelope in which SNS delivers it over HTTP.
 * The signature of SNS needs a certificate of AWS; ours is an HMAC in a header. docs/reference/async-inference.md is the user's copy.
 */
import { createHash, createHmac } from 'node:crypto'
import type { Job } from '#contract/job'
import { placesOf, specOf } from './invocation-spec.ts'

export interface Notification {
  /** Of the event: the same each time it is sent. */
  readonly messageId: string
  readonly topicArn: string
  readonly body: string
}

const REGION = 'local'
const ACCOUNT = '000000000000'
const MESSAGE_ID_BYTES = 16

/** `job` has ended. `response`: null = it is not told. */
export function notificationOf(job: Job, { topic, response }: { readonly topic: string; readonly response: Uint8Array | null }): Notification {
  const messageId = messageIdOf(job.id, topic)
  const topicArn = `arn:aws:sns:${REGION}:${ACCOUNT}:${topic}`
  const body = JSON.stringify({
    Type: 'Notification',
    MessageId: messageId,
    TopicArn: topicArn,
    Message: JSON.stringify(messageOf(job, response)),
    Timestamp: timeText(job.endedMs ?? job.createdMs),
  })
  return { messageId, topicArn, body }
}

/** As SNS names them, and ours over time and body: `t=<seconds>,v1=<hex of HMAC-SHA256 of "t.body">`. */
export function notificationHeaders({ messageId, topicArn, body }: Notification, secret: string, nowMs: number): Record<string, string> {
  const seconds = Math.floor(nowMs / 1000)
  const signature = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')
  return {
    'content-type': 'text/plain; charset=UTF-8',
    'x-amz-sns-message-type': 'Notification',
    'x-amz-sns-message-id': messageId,
    'x-amz-sns-topic-arn': topicArn,
    'x-inferd-signature': `t=${seconds},v1=${signature}`,
  }
}

function messageOf(job: Job, response: Uint8Array | null): object {
  const spec = specOf(job)
  const { outputUri, failureUri } = placesOf(job.id, spec)
  const hasOutput = job.state === 'succeeded'
  const customAttributes = spec.headers['x-amzn-sagemaker-custom-attributes']
  const accept = spec.headers['x-amzn-sagemaker-accept'] ?? spec.headers['accept']
  return {
    awsRegion: REGION,
    eventTime: timeText(job.endedMs ?? job.createdMs),
    receivedTime: timeText(job.createdMs),
    invocationStatus: hasOutput ? 'Completed' : 'Failed',
    ...(hasOutput ? {} : { failureReason: reasonOf(job) }),
    requestParameters: {
      ...(accept === undefined ? {} : { accept }),
      contentType: spec.contentType,
      ...(customAttributes === undefined ? {} : { customAttributes }),
      endpointName: spec.endpoint,
      inputLocation: spec.inputUri,
    },
    responseParameters: hasOutput
      ? { contentType: contentTypeOf(job), outputLocation: outputUri }
      : { contentType: 'application/json', failureLocation: failureUri },
    ...(response === null ? {} : { responseBody: { content: Buffer.from(response).toString('base64'), encoding: 'BASE64' } }),
    inferenceId: spec.inferenceId ?? job.id,
    eventVersion: '1.0',
    eventSource: 'aws:sagemaker',
    eventName: 'InferenceResult',
  }
}

function reasonOf({ state, error }: Job): string {
  const words = error === null ? state : `${error.code}: ${error.message}`
  return state === 'failed' ? words : `${state}: ${error?.message ?? ''}`.replace(/: $/, '')
}

function contentTypeOf({ result }: Job): string {
  const contentType = result?.['contentType']
  return typeof contentType === 'string' ? contentType : 'application/octet-stream'
}

/** RFC 9562, version 8: a hash of ours in the form of an id. */
function messageIdOf(jobId: string, topic: string): string {
  const bytes = createHash('sha256').update(`${jobId}\n${topic}`).digest().subarray(0, MESSAGE_ID_BYTES)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
