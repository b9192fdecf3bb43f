/** Bad inputs 32 to 57 of the reliability study, as far as the protocol layer decides them: the whole error body of each. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FAKE_FACTS } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MESSAGES = [{ role: 'user', content: 'hi' }]
const CHAT = { model: 'fake/model', messages: MESSAGES }
const TEXT = { model: 'fake/model', prompt: 'hi' }
const EMBED = { model: 'fake/model', input: 'hi' }
const { vocabSize, hiddenSize, contextLength } = FAKE_FACTS

let target: TestServer

beforeAll(async () => {
  target = await startTestServer()
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
})

interface Answer {
  readonly status: number
  readonly body: unknown
}

async function send(path: string, body: string | Uint8Array<ArrayBuffer>): Promise<Answer> {
  const response = await fetch(`${target.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  return { status: response.status, body: await response.json() }
}

function refusal(code: string, param: string | null, message: string): Answer {
  return { status: 400, body: { error: { message, type: 'invalid_request_error', param, code } } }
}

const NOT_JSON = 'the request body is not valid JSON'
const TWICE = 'the request body is refused: the same key appears twice in one object'
const TOO_DEEP = 'the request body is refused: nested deeper than 64 levels'

const MALFORMED: readonly (readonly [string, string | Uint8Array<ArrayBuffer>, string])[] = [
  ['32: an empty body', '', 'the request body is empty'],
  ['32: null', 'null', 'the request body must be a JSON object'],
  ['32: an array', '[]', 'the request body must be a JSON object'],
  ['32: a string', '"x"', 'the request body must be a JSON object'],
  ['32: truncated JSON', '{"model":"fake/model"', NOT_JSON],
  ['32: a truncated string', '{"model":"fake', 'the request body is refused: not valid JSON'],
  ['32: trailing garbage', `${JSON.stringify(CHAT)}x`, NOT_JSON],
  ['32: two objects', `${JSON.stringify(CHAT)}{}`, NOT_JSON],
  ['32: a byte order mark', `\uFEFF${JSON.stringify(CHAT)}`, 'the request body starts with a byte order mark'],
  ['32: invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'the request body is not valid UTF-8'],
  ['32: an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'the request body is not valid UTF-8'],
  ['33: 100,000 open brackets', '['.repeat(100_000), TOO_DEEP],
  ['33: 100,000 nested objects', '{"a":'.repeat(100_000), TOO_DEEP],
  ['33: 65 levels', `{"a":${'['.repeat(64)}${']'.repeat(64)}}`, TOO_DEEP],
  ['34: a key twice', '{"model":"a","model":"b"}', TWICE],
  ['34: a key twice, once escaped', '{"model":"a","mod\\u0065l":"b"}', TWICE],
  ['34: a key twice, deep inside', '{"a":[{"b":1,"c":{},"b" :2}]}', TWICE],
  ['36: NaN', '{"temperature":NaN}', NOT_JSON],
]

test.each(MALFORMED)('%s is malformed_body', async (_name, body, message) => {
  expect(await send('/v1/chat/completions', body)).toEqual(refusal('malformed_body', null, message))
})

const finite = (param: string, got: string): Answer => refusal('invalid_parameter', param, `${param} must be a finite number, got ${got}`)
const integer = (param: string, got: string): Answer => refusal('invalid_parameter', param, `${param} must be an integer, got ${got}`)
const range = (param: string, min: number, max: number, got: number): Answer =>
  refusal('invalid_parameter', param, `${param} must be an integer from ${min} to ${max}, got ${got}`)
const between = (param: string, min: number, max: number, got: number): Answer =>
  refusal('invalid_parameter', param, `${param} must be at least ${min} and at most ${max}, got ${got}`)
const items = (param: string, min: number, max: number, got: number): Answer =>
  refusal('invalid_parameter', param, `${param} must have ${min} to ${max} items, got ${got}`)
const missing = (param: string): Answer => refusal('invalid_parameter', param, `missing required parameter: ${param}`)
const kind = (param: string, expected: string, got: string): Answer => refusal('invalid_parameter', param, `${param} must be ${expected}, got ${got}`)
const unsupported = (param: string): Answer => refusal('unsupported_parameter', param, `${param} with this value is not supported by this server`)
const unknown = (param: string): Answer => refusal('invalid_parameter', param, `unrecognized argument: ${param}`)

const INT32_MAX = 2 ** 31 - 1

/** Values as JSON text, so that numbers JavaScript cannot write are sent as they are. */
const CHAT_CASES: readonly (readonly [string, string, string, Answer])[] = [
  ['36', 'temperature', '1e309', finite('temperature', 'Infinity')],
  ['36', 'temperature', '"1"', finite('temperature', 'a string')],
  ['36', 'n', '-0', integer('n', '-0')],
  ['36', 'n', '1.5', integer('n', '1.5')],
  ['36', 'max_tokens', '9007199254740993', integer('max_tokens', '9007199254740992')],
  ['36', 'max_tokens', '"10"', integer('max_tokens', 'a string')],
  ['37', 'max_tokens', '0', range('max_tokens', 1, INT32_MAX, 0)],
  ['37', 'max_tokens', '-1', range('max_tokens', 1, INT32_MAX, -1)],
  ['37', 'max_completion_tokens', '1000000000000', range('max_completion_tokens', 1, INT32_MAX, 1e12)],
  ['39', 'n', '129', range('n', 1, 32, 129)],
  ['39', 'n', '0', range('n', 1, 32, 0)],
  ['42', 'temperature', '"NaN"', finite('temperature', 'a string')],
  ['42', 'temperature', '-1', between('temperature', 0, 2, -1)],
  ['42', 'temperature', '1e9', between('temperature', 0, 2, 1e9)],
  ['42', 'top_p', '0', refusal('invalid_parameter', 'top_p', 'top_p must be above 0 and at most 1, got 0')],
  ['42', 'top_p', '1.0001', refusal('invalid_parameter', 'top_p', 'top_p must be above 0 and at most 1, got 1.0001')],
  ['42', 'top_k', '2147483648', range('top_k', -1, INT32_MAX, 2 ** 31)],
  ['42', 'min_p', '1.1', between('min_p', 0, 1, 1.1)],
  [
    '42',
    'repetition_penalty',
    '0',
    refusal('invalid_parameter', 'repetition_penalty', 'repetition_penalty must be at least 0.01 and at most 10, got 0'),
  ],
  ['42', 'presence_penalty', '2.1', between('presence_penalty', -2, 2, 2.1)],
  ['42', 'frequency_penalty', '-3', between('frequency_penalty', -2, 2, -3)],
  ['42', 'seed', '18446744073709551616', integer('seed', '18446744073709552000')],
  ['43', 'logit_bias', JSON.stringify(Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 0]))), items('logit_bias', 0, 1024, 1025)],
  [
    '43',
    'logit_bias',
    `{"${vocabSize}":1}`,
    refusal('invalid_parameter', `logit_bias.${vocabSize}`, `keys of logit_bias must be token ids from 0 to ${vocabSize - 1}`),
  ],
  ['43', 'logit_bias', '{"-1":1}', refusal('invalid_parameter', 'logit_bias.-1', `keys of logit_bias must be token ids from 0 to ${vocabSize - 1}`)],
  [
    '43',
    'logit_bias',
    '{"__proto__":1}',
    refusal('invalid_parameter', 'logit_bias.__proto__', `keys of logit_bias must be token ids from 0 to ${vocabSize - 1}`),
  ],
  ['43', 'logit_bias', '{"1":1e38}', between('logit_bias.1', -100, 100, 1e38)],
  ['43', 'logit_bias', '[1]', kind('logit_bias', 'an object', 'an array')],
  ['44', 'top_logprobs', '21', range('top_logprobs', 0, 20, 21)],
  ['44', 'top_logprobs', '2', refusal('invalid_parameter', 'top_logprobs', 'top_logprobs is only allowed when logprobs is true')],
  ['44', 'logprobs', '1', kind('logprobs', 'true or false', '1')],
  ['45', 'stop', JSON.stringify(Array.from({ length: 1000 }, () => 'a')), items('stop', 0, 8, 1000)],
  ['45', 'stop', '""', refusal('invalid_parameter', 'stop', 'stop must have 1 to 256 bytes of UTF-8, got 0')],
  ['45', 'stop', '["a",""]', refusal('invalid_parameter', 'stop[1]', 'stop[1] must have 1 to 256 bytes of UTF-8, got 0')],
  ['45', 'stop', JSON.stringify('ü'.repeat(129)), refusal('invalid_parameter', 'stop', 'stop must have 1 to 256 bytes of UTF-8, got 258')],
  ['45', 'stop', '[1]', kind('stop[0]', 'a string', '1')],
  ['45', 'stop_token_ids', `[${vocabSize}]`, range('stop_token_ids[0]', 0, vocabSize - 1, vocabSize)],
  ['48', 'messages', '[]', items('messages', 1, 2048, 0)],
  ['48', 'messages', 'null', missing('messages')],
  ['48', 'messages', '{}', kind('messages', 'an array', 'an object')],
  ['48', 'messages', '["hi"]', kind('messages[0]', 'an object', 'a string')],
  ['48', 'messages', JSON.stringify(Array.from({ length: 10_000 }, () => MESSAGES[0])), items('messages', 1, 2048, 10_000)],
  ['48', 'messages', '[{"content":"hi"}]', missing('messages[0].role')],
  ['48', 'messages', '[{"role":"user"}]', missing('messages[0].content')],
  ['48', 'messages', '[{"role":"user","content":7}]', kind('messages[0].content', 'a string or an array of text parts', '7')],
  [
    '48',
    'messages',
    '[{"role":"wizard","content":"hi"}]',
    refusal('invalid_parameter', 'messages[0].role', 'messages[0].role must be one of system, developer, user, assistant, tool'),
  ],
  [
    '48',
    'messages',
    '[{"role":"constructor","content":"hi"}]',
    refusal('invalid_parameter', 'messages[0].role', 'messages[0].role must be one of system, developer, user, assistant, tool'),
  ],
  ['48', 'messages', '[{"role":"user","content":"hi","extra":1}]', unknown('messages[0].extra')],
  ['48', 'messages', '[{"role":"user","content":[]}]', items('messages[0].content', 1, 256, 0)],
  [
    '58',
    'messages',
    '[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"http://169.254.169.254/"}}]}]',
    refusal('unsupported_parameter', 'messages[0].content[1].type', 'messages[0].content[1].type: only text parts are supported by this server'),
  ],
  ['48', 'messages', '[{"role":"user","content":[{"type":"text","text":1}]}]', kind('messages[0].content[0].text', 'a string', '1')],
  ['55', 'chat_template', '"{{ x }}"', unknown('chat_template')],
  ['57', 'temprature', '1', unknown('temprature')],
  ['57', '__proto__', '{"polluted":true}', unknown('__proto__')],
  ['57', 'constructor', '{"prototype":{"polluted":true}}', unknown('constructor')],
  ['57', 'store', 'true', unsupported('store')],
  ['57', 'modalities', '["text","audio"]', unsupported('modalities')],
  ['57', 'audio', '{}', unsupported('audio')],
  ['57', 'prediction', '{}', unsupported('prediction')],
  ['57', 'web_search_options', '{}', unsupported('web_search_options')],
  ['57', 'verbosity', '"low"', unsupported('verbosity')],
  ['57', 'service_tier', '"fast"', unsupported('service_tier')],
  [
    '57',
    'service_tier',
    '"fastest"',
    refusal('invalid_parameter', 'service_tier', 'service_tier must be one of auto, default, flex, priority, scale'),
  ],
  ['57', 'metadata', '{"a":1}', refusal('invalid_parameter', 'metadata.a', 'metadata.a must be a string')],
  ['57', 'truncation', '"newest"', refusal('invalid_parameter', 'truncation', 'truncation must be one of none, oldest-turns, middle-out')],
  [
    '57',
    'guardrail',
    '{"id":"a b"}',
    refusal('invalid_parameter', 'guardrail.id', 'guardrail.id must be the name, the id or the ARN of a guardrail'),
  ],
  ['57', 'guardrail', '{"version":"1"}', missing('guardrail.id')],
  ['57', 'guardrail', '{"id":"g","mode":1}', unknown('guardrail.mode')],
  ['57', 'cache', '{"mode":"fuzzy"}', refusal('invalid_parameter', 'cache.mode', 'cache.mode must be one of off, exact, semantic')],
  ['57', 'cache', '{"mode":"exact","max_age":-1}', range('cache.max_age', 0, 999_999_999, -1)],
  ['57', 'background', 'true', unknown('background')],
  ['57', 'stream', '"yes"', kind('stream', 'true or false', 'a string')],
  [
    '57',
    'stream_options',
    '{"include_usage":true}',
    refusal('invalid_parameter', 'stream_options', 'stream_options is only allowed when stream is true'),
  ],
  ['57', 'model', '7', kind('model', 'a string', '7')],
  ['57', 'model', 'null', missing('model')],
]

test.each(CHAT_CASES)('%s: chat refuses %s %s', async (_number, key, json, expected) => {
  const fields = Object.entries(CHAT).filter(([name]) => name !== key)
  const body = `{${[...fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`), `${JSON.stringify(key)}:${json}`].join(',')}}`
  expect(await send('/v1/chat/completions', body)).toEqual(expected)
  expect(({} as { polluted?: boolean }).polluted).toBe(undefined)
})

test('38: min_tokens above the limit is refused, also above the default limit of completions', async () => {
  const above = (limit: number): Answer => refusal('invalid_parameter', 'min_tokens', `min_tokens (20) must not be above the output limit (${limit})`)
  expect(await send('/v1/chat/completions', JSON.stringify({ ...CHAT, min_tokens: 20, max_tokens: 10 }))).toEqual(above(10))
  expect(await send('/v1/completions', JSON.stringify({ ...TEXT, min_tokens: 20 }))).toEqual(above(16))
})

test('37: the two names of the output limit must agree', async () => {
  const message = 'max_tokens and max_completion_tokens must agree when both are set'
  expect(await send('/v1/chat/completions', JSON.stringify({ ...CHAT, max_tokens: 1, max_completion_tokens: 2 }))).toEqual(
    refusal('invalid_parameter', 'max_tokens', message),
  )
})

test('57: unknown stream options and unoffered ones are refused', async () => {
  const streaming = { ...CHAT, stream: true }
  expect(await send('/v1/chat/completions', JSON.stringify({ ...streaming, stream_options: { x: 1 } }))).toEqual(unknown('stream_options.x'))
  expect(await send('/v1/chat/completions', JSON.stringify({ ...streaming, stream_options: { include_obfuscation: true } }))).toEqual(
    unsupported('stream_options.include_obfuscation'),
  )
})

const FORMS = 'a string, an array of strings, an array of token ids or an array of such arrays'
const tooManyEntries = (field: string): string =>
  `choices x output tokens x (1 + ${field}) must be at most 262144 in an answer that is not streamed, got `

test('44: logprobs that are too many for a whole answer are refused with the numbers, and streamed', async () => {
  const many = { ...CHAT, n: 7, logprobs: true, top_logprobs: 20 }
  const message = `${tooManyEntries('top_logprobs')}7 x 2048 x (1 + 20) = 301056; without an output limit the context counts`
  expect(await send('/v1/chat/completions', JSON.stringify(many))).toEqual(refusal('invalid_parameter', 'top_logprobs', message))
  expect((await send('/v1/chat/completions', JSON.stringify({ ...many, max_tokens: 1783 }))).status).toBe(200)
  const streamed = await fetch(`${target.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...many, stream: true }),
  })
  expect(streamed.status).toBe(200)
  await streamed.text()
})

const COMPLETION_CASES: readonly (readonly [string, object, Answer])[] = [
  ['39: best_of without equal n', { best_of: 3 }, refusal('unsupported_parameter', 'best_of', 'best_of is only supported when it equals n (1)')],
  [
    '39: prompts times n',
    { prompt: Array.from({ length: 64 }, () => 'a'), n: 3 },
    refusal('invalid_parameter', 'n', 'prompts times n must be at most 128, got 64 x 3'),
  ],
  ['40: 10,000 prompts', { prompt: Array.from({ length: 10_000 }, () => 'a') }, items('prompt', 0, 64, 10_000)],
  ['40: text then token ids', { prompt: ['a', 1] }, kind('prompt[1]', 'a string', '1')],
  ['40: token ids then text', { prompt: [1, 'a'] }, integer('prompt[1]', 'a string')],
  ['40: token arrays then text', { prompt: [[1], 'a'] }, kind('prompt[1]', 'an array of token ids like the items before it', 'a string')],
  ['40: no prompt', { prompt: null }, missing('prompt')],
  ['40: an object', { prompt: {} }, kind('prompt', FORMS, 'an object')],
  ['40: an empty list', { prompt: [] }, refusal('invalid_parameter', 'prompt', 'prompt must not be empty')],
  ['40: an empty text', { prompt: '' }, refusal('invalid_parameter', 'prompt', 'prompt must not be empty')],
  ['40: an empty token array', { prompt: [[1], []] }, refusal('invalid_parameter', 'prompt[1]', 'prompt[1] must not be empty')],
  ['41: token id -1', { prompt: [-1] }, range('prompt[0]', 0, vocabSize - 1, -1)],
  ['41: token id = vocabulary', { prompt: [[0, vocabSize]] }, range('prompt[0][1]', 0, vocabSize - 1, vocabSize)],
  ['41: token id 2^31', { prompt: [2 ** 31] }, range('prompt[0]', 0, vocabSize - 1, 2 ** 31)],
  ['41: a float', { prompt: [1.5] }, integer('prompt[0]', '1.5')],
  ['44: logprobs 21', { logprobs: 21 }, range('logprobs', 0, 20, 21)],
  [
    '44: logprobs of an echo',
    { logprobs: 1, echo: true },
    refusal('unsupported_parameter', 'logprobs', 'logprobs of an echoed prompt are not supported by this server'),
  ],
  [
    '44: more logprobs than one answer may hold',
    { n: 7, max_tokens: 2000, logprobs: 20 },
    refusal('invalid_parameter', 'logprobs', `${tooManyEntries('logprobs')}7 x 2000 x (1 + 20) = 294000`),
  ],
  [
    '44: more logprobs than one answer may hold, over several prompts',
    { prompt: Array.from({ length: 64 }, () => 'a'), n: 2, max_tokens: 10_000, logprobs: 1 },
    refusal('invalid_parameter', 'logprobs', `${tooManyEntries('logprobs')}128 x 2048 x (1 + 1) = 524288`),
  ],
  ['57: suffix', { suffix: 'end' }, unsupported('suffix')],
  ['57: messages', { messages: MESSAGES }, unknown('messages')],
  ['37: max_tokens 0', { max_tokens: 0 }, range('max_tokens', 1, INT32_MAX, 0)],
]

test.each(COMPLETION_CASES)('completions refuse %s', async (_name, fields, expected) => {
  expect(await send('/v1/completions', JSON.stringify({ ...TEXT, ...fields }))).toEqual(expected)
})

const EMBEDDING_CASES: readonly (readonly [string, object, Answer])[] = [
  ['no input', { input: null }, missing('input')],
  ['too many inputs', { input: Array.from({ length: 2049 }, () => 'a') }, items('input', 0, 2048, 2049)],
  ['a token id out of range', { input: [[vocabSize]] }, range('input[0][0]', 0, vocabSize - 1, vocabSize)],
  ['another encoding', { encoding_format: 'hex' }, refusal('invalid_parameter', 'encoding_format', 'encoding_format must be float or base64')],
  ['more dimensions than there are', { dimensions: hiddenSize + 1 }, range('dimensions', 1, hiddenSize, hiddenSize + 1)],
  ['a stream', { stream: true }, unknown('stream')],
  ['a priority of 101', { priority: 101 }, range('priority', -100, 100, 101)],
  [
    '49: more token ids than the context holds',
    { input: [[1], Array.from({ length: contextLength + 1 }, () => 1)] },
    refusal('context_length_exceeded', 'input[1]', 'the context holds 2048 tokens; the prompt has 2049'),
  ],
]

test.each(EMBEDDING_CASES)('embeddings refuse %s', async (_name, fields, expected) => {
  expect(await send('/v1/embeddings', JSON.stringify({ ...EMBED, ...fields }))).toEqual(expected)
})

test('46: lone surrogates, NUL and right-to-left marks pass as text and come back as valid UTF-8', async () => {
  const odd = 'a\u0000b\u202Ec\uD83E'
  const { status } = await send('/v1/chat/completions', `{"model":"fake/model","messages":[{"role":"user","content":${JSON.stringify(odd)}}]}`)
  expect(status).toBe(200)
  expect(target.model.requests.at(-1)?.input).toEqual({ kind: 'messages', messages: [{ role: 'user', content: odd }] })
})

test('48: a conversation that starts with the assistant is passed on', async () => {
  const body = { ...CHAT, messages: [{ role: 'assistant', content: 'hello' }, ...MESSAGES] }
  expect((await send('/v1/chat/completions', JSON.stringify(body))).status).toBe(200)
})

test('35: prototype keys inside accepted objects stay plain data', async () => {
  const body = '{"model":"fake/model","messages":[{"role":"user","content":"hi"}],"metadata":{"__proto__":"x","constructor":"y"}}'
  expect((await send('/v1/chat/completions', body)).status).toBe(200)
  expect(Object.getPrototypeOf({})).toBe(Object.prototype)
})

test('neutral values of features that are not offered are accepted', async () => {
  const neutral = {
    response_format: { type: 'text' },
    tools: [],
    tool_choice: 'none',
    parallel_tool_calls: true,
    modalities: ['text'],
    store: false,
    service_tier: 'auto',
    reasoning_effort: null,
    logit_bias: null,
    stop: null,
    audio: null,
    metadata: null,
    top_logprobs: 0,
    presence_penalty: -0,
    suffix: undefined,
  }
  expect((await send('/v1/chat/completions', JSON.stringify({ ...CHAT, ...neutral }))).status).toBe(200)
})
