/** `inferd.yaml`: models and endpoints as they are to be. Unknown fields are refused by their path. */
import { z } from 'zod'
import type { Declaration } from '#contract/declaration'
import { InferdError } from '#contract/errors'
import { replicaCount, scalingFields } from './scaling-fields.ts'

const MAX_SECONDS = 86_400
const name = z.string().regex(/^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,49}$/, 'letters, digits and single dashes between them, at most 50')
const seconds = z.number().min(0).max(MAX_SECONDS)

const model = z
  .strictObject({
    name,
    served: z.string().min(1).max(128).optional().describe("One of the server's models."),
    object: z
      .string()
      .regex(/^s3:\/\/[^/]+\/.+$/, 's3://bucket/key')
      .max(1024)
      .optional()
      .describe('A .gguf file, or a prefix that ends with `/`, in a bucket.'),
    kvCacheMib: z.int().min(1).max(16_777_216).optional(),
  })
  .refine(({ served, object }) => (served === undefined) !== (object === undefined), 'give either served or object')
  .transform(({ name, served, object, kvCacheMib = null }) => ({
    name,
    source: served === undefined ? { object: object ?? '' } : { served },
    kvCacheMib,
  }))

const placed = {
  name: name.default('main'),
  model: name.describe('One of `models`.'),
  weight: z.number().min(0).max(1_000_000).default(1),
  replicas: replicaCount.optional().describe('1 when not given; where the variant is scaled, its least number.'),
  serverless: z
    .strictObject({
      maxConcurrency: z.int().min(1).max(100_000).default(64),
      provisionedConcurrency: z.int().min(0).max(1000).default(0),
      idleTimeoutS: z
        .number()
        .min(1)
        .max(30 * MAX_SECONDS)
        .default(300),
    })
    .optional(),
}

const variant = z
  .strictObject({ ...placed, scaling: scalingFields.optional() })
  .refine(
    ({ serverless, scaling: scaled, replicas }) => serverless === undefined || (scaled === undefined && replicas === undefined),
    'a serverless variant has neither replicas nor scaling',
  )
  .transform(({ replicas, serverless = null, scaling: scaled = null, ...rest }) => ({
    ...rest,
    replicas: replicas ?? Math.max(1, scaled?.min ?? 1),
    serverless,
    scaling: scaled,
  }))

const shadow = z
  .strictObject({ ...placed, name: name.default('shadow'), weight: z.number().gt(0).max(100).default(100).describe('Of the calls, in percent.') })
  .refine(({ serverless, replicas }) => serverless === undefined || replicas === undefined, 'a serverless variant has no replicas')
  .transform(({ replicas = 1, serverless = null, ...rest }) => ({ ...rest, replicas, serverless, scaling: null }))

const alarm = z
  .strictObject({
    name: z.string().min(1).max(255),
    metric: z.enum(['ttft_p95_ms', 'tpot_p95_ms', 'error_rate', 'refusal_rate', 'cost_per_request']),
    threshold: z.number().min(0),
    windowS: z.number().min(1).max(MAX_SECONDS).default(60),
    minSamples: z.int().min(1).max(1_000_000).default(10),
  })
  .transform(({ windowS, ...rule }) => ({ ...rule, windowMs: windowS * 1000 }))

const rollout = z
  .strictObject({
    kind: z.enum(['all-at-once', 'canary', 'linear', 'rolling']).default('all-at-once'),
    stepPercent: z.int().min(1).max(50).default(10),
    waitS: seconds.default(60),
    bakeS: seconds.default(60),
    maxDurationS: z.number().min(1).max(MAX_SECONDS).default(3600),
    alarms: z
      .array(z.union([z.string().min(1).max(255), alarm]))
      .max(10)
      .default([]),
  })
  .transform(({ kind, stepPercent, waitS, bakeS, maxDurationS, alarms }) => ({
    kind,
    stepPercent: kind === 'all-at-once' ? 100 : stepPercent,
    waitMs: waitS * 1000,
    bakeMs: bakeS * 1000,
    maxDurationMs: maxDurationS * 1000,
    alarms,
  }))

const contentTypes = z.array(z.string().min(1).max(256).toLowerCase()).max(10)

const capture = z
  .strictObject({
    to: z
      .string()
      .regex(/^s3:\/\/[^/]+(\/.*)?$/, 's3://bucket/prefix')
      .max(512)
      .describe("Before the endpoint's name in the keys of the objects."),
    percent: z.int().min(0).max(100).default(100).describe('Of the calls.'),
    input: z.boolean().default(true),
    output: z.boolean().default(true),
    csvTypes: contentTypes.default(['text/csv']).describe('Content types that are kept as text and called CSV.'),
    jsonTypes: contentTypes.default(['application/json', 'text/event-stream']).describe('The same for JSON; all others are kept in Base64.'),
  })
  .refine(({ input, output }) => input || output, 'one of input and output must be kept')
  .transform(({ to, ...terms }) => ({ uri: to, ...terms }))

const endpoint = z.strictObject({
  name,
  variants: z
    .array(variant)
    .min(1)
    .max(10)
    .refine((variants) => variants.some(({ weight }) => weight > 0), 'one variant must have a weight above 0'),
  shadows: z.array(shadow).max(10).default([]).describe('Get copies of calls.'),
  rollout: rollout.prefault({ bakeS: 0 }),
  capture: capture.optional().describe('A sample of calls and answers, kept in a bucket.'),
})

const throughput = z.strictObject({
  name: z.string().regex(/^(?:[0-9a-zA-Z][_-]?){1,63}$/, 'letters, digits, and single - or _ between them, at most 63'),
  model: z.string().min(1).max(128).describe("One of the server's models, by its own name."),
  units: z.int().min(1).max(10_000).default(1),
  commitment: z.enum(['none', 'one-month', 'six-months']).default('none'),
})

const deploymentFile = z.strictObject({
  models: z.array(model).max(1000).default([]),
  endpoints: z.array(endpoint).max(1000).default([]),
  provisioned: z.array(throughput).max(1000).default([]).describe("Units of throughput, of the caller's team."),
})

const MAX_REPORTED_ISSUES = 8

/** For editors: docs/reference/deployment-file.schema.json. */
export function deploymentFileJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(deploymentFile, { io: 'input' }), null, 2)}\n`
}

/** Throws invalid_parameter with the path of each field at fault. `where`: how errors call the document. */
export function parseDeclaration(document: unknown, where: string): Declaration {
  const result = deploymentFile.safeParse(document ?? {})
  if (!result.success) {
    const issues = result.error.issues
      .slice(0, MAX_REPORTED_ISSUES)
      .map(({ path, message }) => `${path.map(String).join('.') || 'document'}: ${message}`)
    throw new InferdError('invalid_parameter', `${where}: ${issues.join('; ')}`)
  }
  requireNames(result.data, where)
  return result.data
}

function requireNames({ models, endpoints, provisioned }: Declaration, where: string): void {
  const refuse = (words: string): never => {
    throw new InferdError('invalid_parameter', `${where}: ${words}`)
  }
  const twiceIn = (named: readonly { readonly name: string }[]): string | undefined =>
    named.find((one, index) => named.findIndex((other) => other.name === one.name) < index)?.name
  const model = twiceIn(models)
  if (model !== undefined) refuse(`two models have the name '${model}'`)
  const endpoint = twiceIn(endpoints)
  if (endpoint !== undefined) refuse(`two endpoints have the name '${endpoint}'`)
  const bought = twiceIn(provisioned)
  if (bought !== undefined) refuse(`two provisioned throughputs have the name '${bought}'`)
  const known = new Set(models.map(({ name: one }) => one))
  for (const [index, { variants, shadows }] of endpoints.entries()) {
    const all = [...variants, ...shadows]
    const twice = twiceIn(all)
    if (twice !== undefined) refuse(`endpoints.${index}: two variants have the name '${twice}'`)
    const unknown = all.find((one) => !known.has(one.model))
    if (unknown !== undefined) refuse(`endpoints.${index}: variant '${unknown.name}' names the model '${unknown.model}', which models does not have`)
  }
}
