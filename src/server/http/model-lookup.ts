/** From a name on the wire to a model that can be asked, or the refusal that says why not. */
import { createHash } from 'node:crypto'
import { fromErrorRecord, InferdError } from '#contract/errors'
import type { ModelFacts } from '#contract/generate'
import type { Principal } from '#contract/principal'
import type { CallableModel, OnlineModels } from '#platform/online/online-models'

const LOADING_RETRY_AFTER_MS = 5000
const STOPPING_RETRY_AFTER_MS = 1000

/** Throws model_not_found, also for a model that this caller may not use. */
export function findModel(online: OnlineModels, principal: Principal, name: string): CallableModel {
  const model = online.find(principal, name)
  if (model !== null) return model
  throw new InferdError('model_not_found', `the model ${JSON.stringify(name.slice(0, 128))} does not exist on this server`, { param: 'model' })
}

/** Throws model_loading, shutting_down, model_not_found for a model that could not be loaded, and why a sleeping one's files cannot be read. */
export function readyFacts({ name, state }: CallableModel): ModelFacts {
  switch (state.kind) {
    case 'ready':
      return state.facts
    case 'asleep':
      if (state.facts !== null) return state.facts
      throw state.problem === null ? loadingError(name) : fromErrorRecord(state.problem)
    case 'loading':
      throw loadingError(name)
    case 'stopping':
      throw new InferdError('shutting_down', `the model ${name} is being stopped`, { retryAfterMs: STOPPING_RETRY_AFTER_MS })
    case 'failed':
      // The record's code and words are for the operator.
      throw new InferdError('model_not_found', `the model ${name} is not available: it failed to load`, { param: 'model' })
  }
}

function loadingError(name: string): InferdError {
  return new InferdError('model_loading', `the model ${name} is still loading`, { retryAfterMs: LOADING_RETRY_AFTER_MS })
}

/** Equal for equal versions of the program and equal models: the promise `seed` is given under. */
export function systemFingerprint(version: string, facts: ModelFacts): string {
  const known = FINGERPRINTS.get(facts)
  if (known?.version === version) return known.fingerprint
  const fingerprint = fingerprintOf(version, facts)
  FINGERPRINTS.set(facts, { version, fingerprint })
  return fingerprint
}

/** A model that is ready keeps its facts' record. */
const FINGERPRINTS = new WeakMap<ModelFacts, { readonly version: string; readonly fingerprint: string }>()

function fingerprintOf(version: string, facts: ModelFacts): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([version, facts]))
    .digest('hex')
  return `fp_${digest.slice(0, 12)}`
}
