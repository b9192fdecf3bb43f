/**
 * Text generation in the Open Inference Protocol: `generate` has one `text_input`, `infer` a tensor of them. Parameters are those of the
 * protocol's generate extension, and a seed.
 */
import { type GenerateRequest, PLAIN_OUTPUT } from '#contract/generate'
import { checkItemCount, type FieldRules, Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import type { DecodeContext, JsonObject } from '#server/operation'

const INT32_MAX = 2 ** 31 - 1
const TENSOR = 'text_input'
const PARAMETERS: FieldRules = { temperature: 'read', top_p: 'read', top_k: 'read', max_tokens: 'read', stop: 'read', seed: 'read', details: 'read' }

export interface OipCall {
  /** The caller's own; null = none. */
  readonly id: string | null
  readonly model: string
  readonly details: boolean
  readonly requests: readonly GenerateRequest[]
}

export function decodeGenerate(body: JsonObject, context: DecodeContext): OipCall {
  const fields = new Fields(body)
  fields.check({ id: 'read', text_input: 'read', parameters: 'read' })
  return callOf(fields, [fields.requiredText(TENSOR, { minLength: 1 })], context)
}

export function decodeInfer(body: JsonObject, context: DecodeContext): OipCall {
  const fields = new Fields(body)
  fields.check({ id: 'read', inputs: 'read', parameters: 'read', outputs: (value) => Array.isArray(value) && value.length === 0 })
  const inputs = fields.list('inputs', { minItems: 1, maxItems: 1 })
  if (inputs === null) throw fields.missing('inputs')
  const [tensor] = inputs
  if (!isJsonObject(tensor)) throw typeMismatch('inputs[0]', 'a tensor', tensor)
  return callOf(fields, readTexts(new Fields(tensor, 'inputs[0]'), context), context)
}

function readTexts(tensor: Fields, { limits }: DecodeContext): readonly string[] {
  tensor.check({ name: 'read', datatype: 'read', shape: 'read', data: 'read', parameters: () => false })
  if (tensor.requiredText('name') !== TENSOR) throw invalid(tensor.pathOf('name'), `${tensor.pathOf('name')} must be ${TENSOR}`)
  if (tensor.requiredText('datatype') !== 'BYTES') throw unsupported(tensor.pathOf('datatype'), `${tensor.pathOf('datatype')} must be BYTES`)
  const data = tensor.list('data', { minItems: 1, maxItems: limits.maxPrompts })
  if (data === null) throw tensor.missing('data')
  const shape = tensor.list('shape', { minItems: 1, maxItems: 2 }) ?? []
  const numElements = shape.reduce<number>((product, size) => product * (typeof size === 'number' ? size : Number.NaN), 1)
  if (numElements !== data.length)
    throw invalid(tensor.pathOf('shape'), `${tensor.pathOf('shape')} must say how many elements data has: ${data.length}`)
  return data.map((text, index) => {
    if (typeof text !== 'string' || text === '') throw typeMismatch(`${tensor.pathOf('data')}[${index}]`, 'a string that is not empty', text)
    return text
  })
}

function callOf(fields: Fields, texts: readonly string[], context: DecodeContext): OipCall {
  const parameters = fields.nestedFields('parameters') ?? new Fields({}, 'parameters')
  parameters.check(PARAMETERS)
  const seed = parameters.integer('seed', { min: 0, max: Number.MAX_SAFE_INTEGER })
  const details = parameters.boolean('details') ?? false
  const request: Omit<GenerateRequest, 'requestId' | 'input'> = {
    sampling: {
      temperature: parameters.number('temperature', { min: 0, max: 2 }) ?? 0,
      topK: parameters.integer('top_k', { min: 0, max: INT32_MAX }) ?? 0,
      topP: parameters.number('top_p', { min: 0, max: 1, aboveMin: true }) ?? 1,
      minP: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      logitBias: [],
      seed: seed === null ? null : seed >>> 0,
    },
    output: PLAIN_OUTPUT,
    maxTokens: parameters.integer('max_tokens', { min: 1, max: INT32_MAX }),
    minTokens: 0,
    stopStrings: readStops(parameters, context),
    stopTokenIds: [],
    ignoreEos: false,
    includeStopString: false,
    numTopLogprobs: details ? 0 : null,
    numChoices: 1,
    echo: false,
    priority: 0,
    cacheSalt: '',
  }
  return {
    id: fields.text('id', { maxLength: 256 }),
    model: context.model,
    details,
    requests: texts.map((text, index) => ({ requestId: `${context.responseId}-${index}`, input: { kind: 'text', text }, ...request })),
  }
}

function readStops(parameters: Fields, { limits }: DecodeContext): readonly string[] {
  const items = parameters.list('stop', { maxItems: limits.maxStopStrings }) ?? []
  checkItemCount(items, parameters.pathOf('stop'), { maxItems: limits.maxStopStrings })
  return items.map((item, index) => {
    const path = `${parameters.pathOf('stop')}[${index}]`
    if (typeof item !== 'string') throw typeMismatch(path, 'a string', item)
    const numBytes = Buffer.byteLength(item)
    if (numBytes >= 1 && numBytes <= limits.maxStopStringBytes) return item
    throw invalid(path, `${path} must have 1 to ${limits.maxStopStringBytes} bytes of UTF-8`)
  })
}
