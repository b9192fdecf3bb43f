/** What the server calls for every generation, embedding and count: the one way to a model, whatever the dialect. */
import type { OnlineCall, OnlineEmbedCall } from '#contract/call'
import { InferdError } from '#contract/errors'
import type { CountRequest, EmbedResult, GenerateEvent } from '#contract/generate'
import type { Principal } from '#contract/principal'
import type { ModelDirectory, ServedModel } from '#platform/registry/served-model'

/** A name that can be called: a model, an alias, a route. */
export type CallableModel = Pick<ServedModel, 'name' | 'createdSeconds' | 'state' | 'whileLoading'>

export interface OnlineModels {
  /** Only what this principal may call. */
  list(principal: Principal): readonly CallableModel[]
  find(principal: Principal, name: string): CallableModel | null
  /** As CallHandler. */
  generate(call: OnlineCall, signal: AbortSignal): AsyncIterable<GenerateEvent>
  embed(call: OnlineEmbedCall, signal: AbortSignal): Promise<EmbedResult>
  countTokens(principal: Principal, model: string, request: CountRequest, signal: AbortSignal): Promise<number>
}

/** Models and nothing around them: no limits, no ledger, no safety. */
export function directModels(models: ModelDirectory): OnlineModels {
  const find = (principal: Principal, name: string): ServedModel | null => (mayCall(principal, name) ? models.find(name) : null)
  const need = (principal: Principal, name: string): ServedModel => {
    const model = find(principal, name)
    if (model === null) throw new InferdError('model_not_found', 'the model does not exist on this server', { param: 'model' })
    return model
  }
  return {
    list: (principal) => models.list().filter(({ name }) => mayCall(principal, name)),
    find,
    generate: (call, signal) => need(call.principal, call.model).generate(call.request, signal, call.isBuffered ? 'whole' : 'stream'),
    embed: (call, signal) => need(call.principal, call.model).embed(call.request, signal),
    countTokens: async (principal, model, request, signal) => need(principal, model).countTokens(request, signal),
  }
}

export function mayCall({ models }: Principal, name: string): boolean {
  return models === null || models.includes(name)
}
