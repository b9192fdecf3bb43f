/** From an upstream's terms to its models. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { AnthropicDialect } from './anthropic/dialect.ts'
import { BedrockDialect } from './bedrock/dialect.ts'
import type { Egress } from './egress.ts'
import { OpenAiDialect } from './openai/dialect.ts'
import type { AwsCredentials } from './sign-request.ts'
import { DEFAULT_CLIENT_LIMITS, UpstreamClient } from './upstream-client.ts'
import type { DialectTerms, UpstreamDialect } from './upstream-dialect.ts'
import { UpstreamModel } from './upstream-model.ts'

/** As in the platform's file; the secrets are read. */
export interface UpstreamTerms {
  readonly dialect: 'openai' | 'anthropic' | 'bedrock'
  readonly baseUrl: string
  readonly region: string
  readonly extensions: boolean
  readonly countTokens: 'refuse' | 'estimate'
  readonly answers: 'as-asked' | 'stream'
  readonly maxConcurrentCalls: number
  readonly headersTimeoutS: number
  readonly idleTimeoutS: number
  readonly maxAnswerBytes: number
  readonly models: readonly {
    readonly name: string
    readonly remoteModel: string
    readonly contextLength: number
    readonly maxOutputTokens: number
    readonly embeddingSize: number
  }[]
}

export interface UpstreamSecrets {
  readonly apiKey: string | null
  readonly credentials: AwsCredentials | null
}

export interface Upstream {
  readonly models: readonly UpstreamModel[]
  close(): Promise<void>
}

export interface OpenUpstream {
  readonly terms: UpstreamTerms
  readonly secrets: UpstreamSecrets
  readonly egress: Egress
  readonly clock: Clock
}

/** Connects to nothing yet. Throws invalid_parameter for a URL or host that is not allowed, and for Bedrock without credentials. */
export function openUpstream({ terms, secrets, egress, clock }: OpenUpstream): Upstream {
  const baseUrl = egress.checkUrl(terms.baseUrl)
  if (terms.dialect === 'bedrock' && secrets.apiKey === null && secrets.credentials === null)
    throw new InferdError('invalid_parameter', 'an upstream of bedrock needs apiKey, or accessKeyId with secretAccessKey', { param: '--config' })
  const client = new UpstreamClient(egress, {
    ...DEFAULT_CLIENT_LIMITS,
    headersTimeoutMs: terms.headersTimeoutS * 1000,
    idleTimeoutMs: terms.idleTimeoutS * 1000,
    maxAnswerBytes: terms.maxAnswerBytes,
    maxConnections: terms.maxConcurrentCalls,
  })
  const createdSeconds = Math.floor(clock.wallMs() / 1000)
  const models = terms.models.map(({ name, remoteModel, contextLength, maxOutputTokens, embeddingSize }) => {
    const dialect = dialectOf({ terms, secrets, clock }, { model: name, remoteModel, baseUrl, maxOutputTokens })
    const facts = { ...NO_FACTS, architecture: terms.dialect, contextLength, hiddenSize: embeddingSize }
    const { answers, countTokens, maxConcurrentCalls } = terms
    return new UpstreamModel({ name, createdSeconds, facts, dialect, client, answers, countTokens, maxConcurrentCalls })
  })
  return { models, close: () => client.close() }
}

/** What only the remote server knows. Token ids are its own: they are refused by it, not by us. */
const NO_FACTS = {
  parameters: 0,
  weightsBytes: 0,
  quantization: 'remote',
  vocabSize: 2 ** 31 - 1,
  hasChatTemplate: true,
  chatTemplateProblem: null,
}

function dialectOf({ terms, secrets: { apiKey, credentials }, clock }: Omit<OpenUpstream, 'egress'>, dialect: DialectTerms): UpstreamDialect {
  switch (terms.dialect) {
    case 'openai':
      return new OpenAiDialect({ ...dialect, apiKey, hasExtensions: terms.extensions })
    case 'anthropic':
      return new AnthropicDialect({ ...dialect, apiKey })
    case 'bedrock':
      return new BedrockDialect({ ...dialect, apiKey, credentials, region: terms.region, clock })
  }
}
