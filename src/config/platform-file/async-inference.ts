/** Asynchronous invocations: where results go, how many run at a time, and who is told. */
import { z } from 'zod'

const folder = z
  .string()
  .regex(/^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[\w!.*'()-]+)*\/?$/, 's3://bucket/prefix')
  .max(512)

const topicName = z.string().regex(/^[\w.-]{1,64}$/, 'letters, digits and . _ - only, at most 64')
const topicNames = z.array(topicName).max(16)
const maxConcurrent = z.int().min(1).max(1000)
const included = z.array(z.enum(['success', 'error'])).max(2)

const endpointName = z
  .string()
  .regex(/^[a-zA-Z0-9](-*[a-zA-Z0-9])*$/, 'letters, digits and dashes')
  .max(63)

const endpointTerms = z.strictObject({
  outputLocation: folder.nullable().default(null),
  failureLocation: folder.nullable().default(null),
  maxConcurrentInvocations: maxConcurrent.nullable().default(null),
  successTopics: topicNames.nullable().default(null),
  errorTopics: topicNames.nullable().default(null),
  includeResponseIn: included.nullable().default(null),
})

const topic = z.strictObject({
  name: topicName,
  url: z.string().min(1).max(2048).describe('Where notifications are posted; its host must be in egress.hosts.'),
  secret: z
    .string()
    .regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|\/.+|\.{1,2}\/.+)$/, 'a reference: env:NAME or the path of a file, never the key itself')
    .describe('Signs what is posted. A reference: `env:NAME`, or the path of a file.'),
})

export const asyncInferenceSection = z
  .strictObject({
    outputLocation: folder.nullable().default(null).describe('Folder of results; null = `async/output` in the bucket of the team.'),
    failureLocation: folder.nullable().default(null).describe('Folder of failures; null = beside the results.'),
    maxConcurrentInvocations: maxConcurrent.default(4).describe('Of one endpoint.'),
    maxRunning: z.int().min(1).max(4096).default(64).describe('Of all endpoints.'),
    maxPayloadBytes: z
      .int()
      .min(1024)
      .max(2 ** 40)
      .default(2 ** 30)
      .describe('Of a payload that comes with the call.'),
    successTopics: topicNames.default([]).describe('Told of results.'),
    errorTopics: topicNames.default([]).describe('Told of failures.'),
    includeResponseIn: included.default([]).describe('Which notifications hold the response itself, up to 128 KB.'),
    topics: z.array(topic).max(64).default([]).describe('Whom notifications go to.'),
    endpoints: z.record(endpointName, endpointTerms).default({}).describe('What one endpoint has for itself; null = as for all.'),
  })
  .prefault({})
  .describe('Asynchronous invocations.')

export type AsyncInferenceConfig = z.infer<typeof asyncInferenceSection>
