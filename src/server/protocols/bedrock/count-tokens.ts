/** CountTokens: of a Converse body, or of a native body of InvokeModel in base64. */
import { type CountRequest, PLAIN_OUTPUT } from '#contract/generate'
import { Fields, invalid, isJsonObject } from '#server/fields'
import { parseJsonText } from '#server/json-text'
import type { CountCall, DecodeContext, Incoming, PlaceOf } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { decodeConversePrompt } from './converse/decode-request.ts'
import { readMember } from './converse/union-field.ts'
import { takeTerms } from './invoke/invoke-terms.ts'
import type { NativeForms } from './invoke/invoke-routes.ts'
import { formOf } from './invoke/native-form.ts'
import { conversePlace } from './places.ts'

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/
const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

export async function decodeCount(incoming: Incoming, context: DecodeContext, forms: NativeForms): Promise<CountCall> {
  const fields = new Fields(incoming.body)
  fields.check({ input: 'read' })
  const input = fields.requiredFields('input')
  const member = readMember(input, 'input', { known: ['converse', 'invokeModel'] })
  const { request, placeOf } = member === 'converse' ? ofConverse(input, context) : await ofInvoke(input, incoming, context, forms)
  return { request, placeOf, encodeResponse: (inputTokens) => jsonReply({ inputTokens }, 200, { 'x-amzn-requestid': context.requestId }) }
}

interface CountedPrompt {
  readonly request: CountRequest
  readonly placeOf: PlaceOf
}

function ofConverse(input: Fields, context: DecodeContext): CountedPrompt {
  const body = input.nested('converse')
  if (body === null) throw input.missing('converse')
  return { request: decodeConversePrompt(body, context), placeOf: conversePlace }
}

async function ofInvoke(input: Fields, incoming: Incoming, context: DecodeContext, forms: NativeForms): Promise<CountedPrompt> {
  const invoke = input.requiredFields('invokeModel')
  invoke.check({ body: 'read' })
  const path = invoke.pathOf('body')
  const body = parseJsonText(decodeText(invoke.requiredText('body'), path), path)
  if (!isJsonObject(body)) throw invalid(path, `${path} must be a JSON object`)
  const native = takeTerms({ ...incoming, body }).incoming
  const name = formOf(native)
  if (name === 'titan-embedding') {
    const text = new Fields(body).requiredText('inputText', { minLength: 1 })
    return { request: { input: { kind: 'text', text }, output: PLAIN_OUTPUT }, placeOf: () => 'inputText' }
  }
  const { requests, placeOf } = await forms[name].decode(native, context, { stream: false })
  const [request] = requests
  if (request === undefined) throw invalid(path, `${path} asks for nothing`)
  return { request, placeOf }
}

function decodeText(text: string, path: string): string {
  if (!BASE64.test(text)) throw invalid(path, `${path} must be base64`)
  try {
    return strictUtf8.decode(Buffer.from(text, 'base64'))
  } catch {
    throw invalid(path, `${path} must be base64 of UTF-8`)
  }
}
