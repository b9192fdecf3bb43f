/** Guardrails put together: their archive, the models that judge, the stage, and what models always have. */
import type { Clock } from '#base/clock'
import { randomId } from '#base/random'
import type { GuardrailsConfig } from '#config/platform-file/guardrails'
import { InferdError } from '#contract/errors'
import type { EmbedHandler } from '#platform/online/embed-handler'
import type { Stage } from '#platform/online/stage'
import type { ModelDirectory, ServedModel } from '#platform/registry/served-model'
import { PolicyCache } from '#platform/safety/compiled-policy'
import { makeDefaultGuardrails } from '#platform/safety/default-guardrails'
import { GuardrailArchive } from '#platform/safety/guardrail-archive'
import { modelClassifier } from '#platform/safety/model-classifier'
import type { SafetyPorts } from '#platform/safety/safety-ports'
import { guardEmbedCall, makeSafetyStage } from '#platform/safety/safety-stage'
import type { Store } from '#platform/store/open-store'

export interface SafetyParts {
  readonly store: Store
  readonly config: GuardrailsConfig
  readonly models: ModelDirectory
  readonly clock: Clock
}

export interface Safety {
  readonly archive: GuardrailArchive
  readonly stage: Stage
  readonly guardEmbedding: (next: EmbedHandler) => EmbedHandler
}

/** Throws invalid_parameter for definitions that cannot be, and defaults that name none of them. */
export function openSafety({ store, config, models, clock }: SafetyParts): Safety {
  const policies = new PolicyCache(judges(models))
  const { definitions: fixed, embeddingModel: embedding, classifierModel: classifier } = config
  const archive = new GuardrailArchive({ store, fixed, models: { embedding, classifier }, policies, clock })
  const options = {
    resolve: (query: Parameters<GuardrailArchive['get']>[0]) => archive.get(query),
    defaultOf: makeDefaultGuardrails(config),
    policies,
    clock,
  }
  const guardEmbedding = (next: EmbedHandler): EmbedHandler => {
    return async (call, signal) => next(await guardEmbedCall(call, options, signal), signal)
  }
  return { archive, stage: makeSafetyStage(options), guardEmbedding }
}

/** Judges are models of this server. Their tokens are the operator's. */
function judges(models: ModelDirectory): SafetyPorts {
  const need = (name: string): ServedModel => {
    const model = models.find(name)
    if (model === null) throw new InferdError('model_not_found', 'the model that judges for a guardrail does not exist on this server')
    return model
  }
  return {
    embed: async (name, texts, signal) => {
      const inputs = texts.map((text) => ({ kind: 'text', text }) as const)
      const { vectors } = await need(name).embed({ requestId: randomId('judge'), inputs, priority: 0, cacheSalt: 'judge' }, signal)
      return vectors
    },
    classifierOf: (name) => modelClassifier((request, signal) => need(name).generate(request, signal)),
  }
}
