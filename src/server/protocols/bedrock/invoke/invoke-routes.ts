/** InvokeModel and its stream: one route for each body that is known, chosen by its shape. */
import { invalid } from '#server/fields'
import type { DecodeContext, GenerateCall, Incoming, ProtocolRoute } from '#server/operation'
import { readModelName } from '#server/protocols/bedrock/model-id'
import { encodeInvoke, startInvokeStream } from './encode-invoke.ts'
import { anthropicForm, chatForm } from './foreign-forms.ts'
import { takeTerms } from './invoke-terms.ts'
import type { ForeignOperations, NativeCall, NativeForm } from './native-call.ts'
import { type FormName, formOf } from './native-form.ts'
import { llamaForm, mistralForm } from './text-forms.ts'
import { decodeTitan } from './titan-embedding.ts'

type Route<Kind extends ProtocolRoute['kind']> = Extract<ProtocolRoute, { readonly kind: Kind }>
export type NativeForms = Readonly<Record<Exclude<FormName, 'titan-embedding'>, NativeForm>>

export function nativeForms({ messages, chat }: ForeignOperations): NativeForms {
  return { anthropic: anthropicForm(messages), chat: chatForm(chat), llama: llamaForm, mistral: mistralForm }
}

export function invokeRoute(forms: NativeForms, { stream }: { readonly stream: boolean }): Route<'dispatch'> {
  const path = stream ? '/model/:modelId/invoke-with-response-stream' : '/model/:modelId/invoke'
  const base = { method: 'POST', path, bodyKind: 'blob-json', modelOf: readModelName } as const
  const generate = (form: NativeForm): Route<'generate'> => ({
    ...base,
    kind: 'generate',
    idPrefix: form.idPrefix,
    decode: (incoming, context) => decodeInvoke(form, incoming, context, stream),
  })
  const embed: Route<'embed'> = { ...base, kind: 'embed', idPrefix: 'emb_', decode: decodeTitan }
  const routes = { anthropic: generate(forms.anthropic), chat: generate(forms.chat), llama: generate(forms.llama), mistral: generate(forms.mistral) }
  return {
    ...base,
    kind: 'dispatch',
    choose: (incoming) => {
      const name = formOf(incoming)
      if (name !== 'titan-embedding') return routes[name]
      if (stream) throw invalid('inputText', 'inputText: embeddings are no stream; use InvokeModel')
      return embed
    },
  }
}

async function decodeInvoke(form: NativeForm, request: Incoming, context: DecodeContext, stream: boolean): Promise<GenerateCall> {
  const { incoming, terms } = takeTerms(request)
  const decoded = await form.decode(incoming, context, { stream })
  const native: NativeCall = { ...decoded, options: { ...decoded.options, ...terms.options } }
  const call = { native, terms, requestId: context.requestId, elapsedMs: context.elapsedMs }
  return {
    stream,
    operation: native.operation,
    requests: native.requests,
    options: native.options,
    placeOf: native.placeOf,
    encodeResponse: (outcome, report) => encodeInvoke(call, outcome, report),
    startStream: (report) => startInvokeStream(call, report),
  }
}
