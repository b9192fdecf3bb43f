/** A chat body becomes a ChatCall, or an InferdError that names the field at fault. */
import { InferdError } from '#contract/errors'
import type { ChatMessage } from '#contract/generate'
import type { DecodeContext, JsonObject } from '#server/operation'
import { checkItemCount, type FieldRules, Fields, invalid, isJsonObject, typeMismatch } from '#server/protocols/openai/fields'
import { CHAT_NEUTRAL_RULES } from '#server/protocols/openai/ignored-fields'
import { readModelName } from '#server/protocols/openai/model-field'
import { checkLogprobEntries } from '#server/protocols/openai/response-size'
import { readSharedFields, readStreamFields, readTokenLimit, SAMPLING_RULES } from '#server/protocols/openai/sampling-fields'
import type { ChatCall } from './wire-types.ts'

const CHAT_RULES: FieldRules = {
  ...CHAT_NEUTRAL_RULES,
  ...SAMPLING_RULES,
  model: 'read',
  messages: 'read',
  max_tokens: 'read',
  max_completion_tokens: 'read',
  logprobs: 'read',
  top_logprobs: 'read',
}

const isEmptyList = (value: unknown): boolean => Array.isArray(value) && value.length === 0

/** What clients send back of an assistant message they received is accepted while it is empty. */
const MESSAGE_RULES: FieldRules = {
  role: 'read',
  content: 'read',
  name: 'read',
  refusal: () => false,
  tool_calls: isEmptyList,
  annotations: isEmptyList,
  function_call: () => false,
  audio: () => false,
  tool_call_id: () => false,
}

type PlainRole = 'system' | 'user' | 'assistant'

const ROLES: Readonly<Record<string, PlainRole>> = { system: 'system', developer: 'system', user: 'user', assistant: 'assistant' }
const MAX_NAME_LENGTH = 64

export function decodeChatRequest(body: JsonObject, context: DecodeContext): ChatCall {
  const fields = new Fields(body)
  fields.check(CHAT_RULES)
  const maxTokens = readOutputLimit(fields)
  const streaming = readStreamFields(fields)
  const shared = readSharedFields(fields, context, maxTokens)
  const numTopLogprobs = readLogprobs(fields, context)
  checkLogprobEntries({ numChoices: shared.numChoices, maxTokens, numTopLogprobs, stream: streaming.stream, param: 'top_logprobs' }, context)
  return {
    responseId: context.responseId,
    createdSeconds: context.createdSeconds,
    model: readModelName(body),
    systemFingerprint: context.systemFingerprint,
    ...streaming,
    request: {
      requestId: context.responseId,
      input: { kind: 'messages', messages: readMessages(fields, context) },
      ...shared,
      maxTokens,
      numTopLogprobs,
      echo: false,
    },
  }
}

/** `max_tokens` is the older name of `max_completion_tokens`; both may be sent when they agree. */
function readOutputLimit(fields: Fields): number | null {
  const older = readTokenLimit(fields, 'max_tokens')
  const newer = readTokenLimit(fields, 'max_completion_tokens')
  if (older !== null && newer !== null && older !== newer) {
    throw invalid('max_tokens', 'max_tokens and max_completion_tokens must agree when both are set')
  }
  return newer ?? older
}

function readLogprobs(fields: Fields, { limits }: DecodeContext): number | null {
  const wanted = fields.boolean('logprobs') ?? false
  const numTop = fields.integer('top_logprobs', { min: 0, max: limits.maxTopLogprobs })
  if (!wanted && numTop !== null && numTop > 0) throw invalid('top_logprobs', 'top_logprobs is only allowed when logprobs is true')
  return wanted ? (numTop ?? 0) : null
}

function readMessages(fields: Fields, context: DecodeContext): ChatMessage[] {
  const items = fields.list('messages', { minItems: 1, maxItems: context.limits.maxMessages })
  if (items === null) throw fields.missing('messages')
  return items.map((item, index) => readMessage(item, `messages[${index}]`, context))
}

function readMessage(item: unknown, path: string, context: DecodeContext): ChatMessage {
  if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
  const fields = new Fields(item, path)
  const role = readRole(fields)
  fields.check(MESSAGE_RULES)
  const name = fields.text('name', { minLength: 1, maxLength: MAX_NAME_LENGTH })
  return { role, content: readContent(fields, context), ...(name === null ? {} : { name }) }
}

function readRole(fields: Fields): PlainRole {
  const value = fields.value('role')
  if (value === undefined) throw fields.missing('role')
  if (typeof value !== 'string') throw fields.mismatch('role', 'a string', value)
  const role = Object.hasOwn(ROLES, value) ? ROLES[value] : undefined
  if (role !== undefined) return role
  const param = fields.pathOf('role')
  if (value === 'tool' || value === 'function') {
    throw new InferdError('unsupported_parameter', `${param}: messages of the role '${value}' are not supported by this server`, { param })
  }
  throw invalid(param, `${param} must be one of system, developer, user, assistant`)
}

/** Text parts are joined by a line break: templates see one string. */
function readContent(fields: Fields, { limits }: DecodeContext): string {
  const value = fields.value('content')
  if (typeof value === 'string') return value
  if (value === undefined) throw fields.missing('content')
  if (!Array.isArray(value)) throw fields.mismatch('content', 'a string or an array of text parts', value)
  const parts: readonly unknown[] = value
  const path = fields.pathOf('content')
  checkItemCount(parts, path, { minItems: 1, maxItems: limits.maxContentParts })
  return parts.map((part, index) => readTextPart(part, `${path}[${index}]`)).join('\n')
}

function readTextPart(part: unknown, path: string): string {
  if (!isJsonObject(part)) throw typeMismatch(path, 'an object', part)
  const fields = new Fields(part, path)
  const kind = fields.value('type')
  if (kind === undefined) throw fields.missing('type')
  if (kind !== 'text') {
    const param = fields.pathOf('type')
    throw new InferdError('unsupported_parameter', `${param}: only text parts are supported by this server`, { param })
  }
  fields.check({ type: 'read', text: 'read' })
  const text = fields.value('text')
  if (text === undefined) throw fields.missing('text')
  if (typeof text !== 'string') throw fields.mismatch('text', 'a string', text)
  return text
}
