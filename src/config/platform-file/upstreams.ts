/** Remote servers whose models are served here, and the hosts that may be connected to. */
import { z } from 'zod'

const secret = z
  .string()
  .regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|\/.+|\.{1,2}\/.+)$/, 'a reference: env:NAME or the path of a file, never the key itself')
  .describe('A reference: `env:NAME`, or the path of a file that holds the key.')

const upstreamModel = z.strictObject({
  name: z
    .string()
    .regex(/^[\w./:@-]{1,128}$/, 'letters, digits and . / : @ _ - only, at most 128')
    .describe('What callers name.'),
  remoteModel: z.string().min(1).max(2048).describe('What the remote server names.'),
  contextLength: z.int().min(16).max(100_000_000).describe('Prompt and answer, in tokens.'),
  maxOutputTokens: z.int().min(1).max(10_000_000).default(4096).describe('For calls without a limit, where the remote server needs one.'),
  embeddingSize: z.int().min(1).max(1_000_000).default(1).describe('Length of its vectors; models without embeddings leave it out.'),
})

export const upstreamsSection = z
  .array(
    z.strictObject({
      dialect: z.enum(['openai', 'anthropic', 'bedrock']),
      baseUrl: z
        .string()
        .min(1)
        .max(2048)
        .describe('`http://vllm:8000/v1`, `https://api.anthropic.com`, `https://bedrock-runtime.us-east-1.amazonaws.com`.'),
      apiKey: secret.nullable().default(null),
      accessKeyId: secret.nullable().default(null).describe('bedrock: with secretAccessKey, instead of a bearer key.'),
      secretAccessKey: secret.nullable().default(null),
      sessionToken: secret.nullable().default(null),
      region: z
        .string()
        .regex(/^[a-z0-9-]{1,32}$/)
        .default('us-east-1')
        .describe('bedrock: what requests are signed for.'),
      extensions: z.boolean().default(false).describe('openai: the server knows the fields of vLLM (top_k, min_p, structured_outputs, ...).'),
      countTokens: z
        .enum(['refuse', 'estimate'])
        .default('refuse')
        .describe('openai: whether a count is refused, or estimated from the length of the text.'),
      answers: z
        .enum(['as-asked', 'stream'])
        .default('as-asked')
        .describe('Whether a caller that wants a whole answer gets one from the server, or the server is asked for a stream always.'),
      maxConcurrentCalls: z.int().min(1).max(100_000).default(256),
      headersTimeoutS: z
        .number()
        .min(0.1)
        .max(3600)
        .default(300)
        .describe('Longest wait for the beginning of a stream. Whole answers have the deadline of the call.'),
      idleTimeoutS: z.number().min(0.1).max(3600).default(120).describe('Longest wait between two pieces of it.'),
      maxAnswerBytes: z
        .int()
        .min(1024)
        .max(2 ** 30)
        .default(64 * 2 ** 20),
      models: z.array(upstreamModel).min(1).max(256),
    }),
  )
  .max(256)
  .default([])
  .describe('Remote servers.')

export const egressSection = z
  .strictObject({
    hosts: z
      .array(
        z.strictObject({
          host: z.string().regex(/^[a-z0-9.:-]{1,253}$/, 'a name or an address in lower case, without scheme and port'),
          allowPrivate: z.boolean().default(false).describe('Whether it may have an address of this machine or of a private network.'),
        }),
      )
      .max(1024)
      .default([]),
  })
  .prefault({})
  .describe('Hosts that may be connected to; no other is.')

export type UpstreamEntry = z.infer<typeof upstreamsSection>[number]
export type EgressConfig = z.infer<typeof egressSection>
