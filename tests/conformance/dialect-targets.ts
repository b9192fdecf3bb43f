/** Every route that makes a model work, with a good body, the places of its common fields, and the form of its errors. */
import { expect } from 'vitest'

/** What an error of any dialect says of itself. */
export interface ToldError {
  readonly message: string
  /** Of the dialect's own names. */
  readonly type: string
}

type DialectName = 'openai' | 'anthropic' | 'bedrock' | 'sagemaker' | 'tgi' | 'oip'

export interface DialectTarget {
  readonly dialect: DialectName
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Asks for four tokens at most. */
  readonly body: Readonly<Record<string, unknown>>
  /** Keys to the field in the body; null = it has none. */
  readonly maxTokens: readonly string[] | null
  readonly temperature: readonly string[] | null
  /** The list of the conversation; null = it takes a text. */
  readonly messages: string | null
  /** Where the name of the model is. */
  readonly model: 'body' | 'path' | 'header'
  readonly isStream: boolean
}

const USER = [{ role: 'user', content: 'hi' }]
const SAID = [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }]
const VERSION = { 'anthropic-version': '2023-06-01' }
const NO_FIELDS = { maxTokens: null, temperature: null, messages: null } as const

/** `model` is as in bodies; in paths it is escaped, and of SageMaker's endpoints the name with dashes. */
export function dialectTargets(model: string): readonly DialectTarget[] {
  return [...openai(model), ...anthropic(model), ...bedrock(model), ...sagemaker(model), ...plainText(model)]
}

function openai(model: string): readonly DialectTarget[] {
  const base = { dialect: 'openai', headers: {}, model: 'body' } as const
  const chat = { ...base, path: '/v1/chat/completions', maxTokens: ['max_tokens'], temperature: ['temperature'], messages: 'messages' }
  const completions = { ...base, path: '/v1/completions', maxTokens: ['max_tokens'], temperature: ['temperature'], messages: null }
  const responses = { ...base, path: '/v1/responses', maxTokens: ['max_output_tokens'], temperature: ['temperature'], messages: 'input' }
  return [false, true].flatMap((isStream) => {
    const stream = isStream ? { stream: true } : {}
    return [
      { ...chat, isStream, body: { model, max_tokens: 4, messages: USER, ...stream } },
      { ...completions, isStream, body: { model, max_tokens: 4, prompt: 'hi', ...stream } },
      { ...responses, isStream, body: { model, max_output_tokens: 4, input: USER, store: false, ...stream } },
      ...(isStream ? [] : [{ ...base, ...NO_FIELDS, isStream, path: '/v1/embeddings', body: { model, input: 'hi' } }]),
    ]
  })
}

function anthropic(model: string): readonly DialectTarget[] {
  const fields = { maxTokens: ['max_tokens'], temperature: ['temperature'], messages: 'messages', model: 'body' } as const
  return [false, true].map((isStream) => ({
    ...fields,
    dialect: 'anthropic',
    path: '/v1/messages',
    headers: VERSION,
    isStream,
    body: { model, max_tokens: 4, messages: USER, ...(isStream ? { stream: true } : {}) },
  }))
}

function bedrock(model: string): readonly DialectTarget[] {
  const at = `/model/${encodeURIComponent(model)}`
  const base = { dialect: 'bedrock', headers: {}, model: 'path', messages: 'messages' } as const
  const converse = { maxTokens: ['inferenceConfig', 'maxTokens'], temperature: ['inferenceConfig', 'temperature'] }
  const said = { messages: [{ role: 'user', content: [{ text: 'hi' }] }], inferenceConfig: { maxTokens: 4 } }
  const native = { maxTokens: ['max_tokens'], temperature: ['temperature'] }
  const claude = { anthropic_version: 'bedrock-2023-05-31', max_tokens: 4, messages: SAID }
  return [
    { ...base, ...converse, isStream: false, path: `${at}/converse`, body: said },
    { ...base, ...converse, isStream: true, path: `${at}/converse-stream`, body: said },
    { ...base, ...native, isStream: false, path: `${at}/invoke`, body: claude },
    { ...base, ...native, isStream: true, path: `${at}/invoke-with-response-stream`, body: claude },
  ]
}

function sagemaker(model: string): readonly DialectTarget[] {
  const at = `/endpoints/${model.replaceAll(/[^A-Za-z0-9]/g, '-')}`
  const base = { dialect: 'sagemaker', headers: {}, model: 'path' } as const
  const text = { maxTokens: ['parameters', 'max_new_tokens'], temperature: ['parameters', 'temperature'], messages: null }
  const chat = { maxTokens: ['max_tokens'], temperature: ['temperature'], messages: 'messages' }
  const inputs = { inputs: 'hi', parameters: { max_new_tokens: 4 } }
  return [
    { ...base, ...text, isStream: false, path: `${at}/invocations`, body: inputs },
    { ...base, ...chat, isStream: false, path: `${at}/invocations`, body: { max_tokens: 4, messages: USER } },
    { ...base, ...text, isStream: true, path: `${at}/invocations-response-stream`, body: { ...inputs, stream: true } },
    { ...base, ...chat, isStream: true, path: `${at}/invocations-response-stream`, body: { max_tokens: 4, messages: USER, stream: true } },
  ]
}

function plainText(model: string): readonly DialectTarget[] {
  const tgi = { dialect: 'tgi', headers: { 'x-inferd-model': model }, model: 'header', messages: null } as const
  const oip = { dialect: 'oip', headers: {}, model: 'path', messages: null } as const
  const at = `/v2/models/${encodeURIComponent(model)}`
  const inputs = { inputs: 'hi', parameters: { max_new_tokens: 4 } }
  const input = { text_input: 'hi', parameters: { max_tokens: 4 } }
  const ofTgi = { maxTokens: ['parameters', 'max_new_tokens'], temperature: ['parameters', 'temperature'] }
  const ofOip = { maxTokens: ['parameters', 'max_tokens'], temperature: ['parameters', 'temperature'] }
  return [
    { ...tgi, ...ofTgi, isStream: false, path: '/generate', body: inputs },
    { ...tgi, ...ofTgi, isStream: true, path: '/generate_stream', body: inputs },
    { ...oip, ...ofOip, isStream: false, path: `${at}/generate`, body: input },
    { ...oip, ...ofOip, isStream: true, path: `${at}/generate_stream`, body: input },
  ]
}

/** The body with the JSON text in place of the field; what JSON.stringify would not write can be sent so. */
export function bodyWith({ body }: DialectTarget, keys: readonly string[], json: string): string {
  const set = (value: unknown, [key, ...rest]: readonly string[]): object => {
    const fields = value as Readonly<Record<string, unknown>> | undefined
    return { ...fields, [key!]: rest.length === 0 ? '\u0000' : set(fields?.[key!], rest) }
  }
  return JSON.stringify(set(body, keys)).replace('"\\u0000"', () => json)
}

/** Holds an answer to the form of its dialect's errors, headers included, and gives what it says. */
export async function readError({ dialect }: DialectTarget, response: Response): Promise<ToldError> {
  const text = await response.text()
  expect(response.headers.get('content-type'), text).toMatch(/^application\/json/)
  expect(response.headers.get('x-request-id')).toMatch(/^\S+$/)
  const told = READERS[dialect](JSON.parse(text) as never, response)
  expect(told.message.length, text).toBeGreaterThan(5)
  expect(told.message).not.toMatch(/node_modules|\.ts:|\/work\/|^\s+at /m)
  return told
}

interface OpenAiError {
  readonly error: { readonly message: string; readonly type: string; readonly param: string | null; readonly code: string }
}

interface AnthropicError {
  readonly type: 'error'
  readonly error: { readonly type: string; readonly message: string }
  readonly request_id: string
}

type Reader<Wire> = (body: Wire, response: Response) => ToldError

const READERS: {
  readonly openai: Reader<OpenAiError>
  readonly anthropic: Reader<AnthropicError>
  readonly bedrock: Reader<{ readonly message: string }>
  readonly sagemaker: Reader<{ readonly Message: string; readonly OriginalStatusCode?: number; readonly OriginalMessage?: string }>
  readonly tgi: Reader<{ readonly error: string; readonly error_type: string }>
  readonly oip: Reader<{ readonly error: string }>
} = {
  openai: (body, { headers, status }) => {
    expect(Object.keys(body)).toEqual(['error'])
    expect(Object.keys(body.error).sort()).toEqual(['code', 'message', 'param', 'type'])
    if (status < 500 && status !== 429 && status !== 408) expect(headers.get('x-should-retry')).toBe('false')
    return { message: body.error.message, type: body.error.code }
  },
  anthropic: (body, { headers, status }) => {
    expect(body).toMatchObject({ type: 'error', request_id: headers.get('request-id') })
    if (status < 500 && status !== 429 && status !== 408) expect(headers.get('x-should-retry')).toBe('false')
    return { message: body.error.message, type: body.error.type }
  },
  bedrock: (body, { headers }) => {
    expect(Object.keys(body)).toEqual(['message'])
    expect(headers.get('x-amzn-requestid')).toMatch(/^\S+$/)
    return { message: body.message, type: headers.get('x-amzn-errortype') ?? '' }
  },
  sagemaker: (body, { headers }) => {
    const type = headers.get('x-amzn-errortype') ?? ''
    if (type === 'ModelError') expect(Object.keys(body).sort()).toEqual(['LogStreamArn', 'Message', 'OriginalMessage', 'OriginalStatusCode'])
    else expect(Object.keys(body)).toEqual(['Message'])
    expect(body.Message.length).toBeLessThanOrEqual(2048)
    return { message: body.OriginalMessage ?? body.Message, type }
  },
  tgi: (body) => {
    expect(Object.keys(body)).toEqual(['error', 'error_type'])
    return { message: body.error, type: body.error_type }
  },
  oip: (body) => {
    expect(Object.keys(body)).toEqual(['error'])
    return { message: body.error, type: '' }
  },
}
