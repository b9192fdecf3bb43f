/** From the platform's file to what a model's monitor does. */
import type { QualityConfig } from '#config/platform-file/quality'
import { assert } from '#base/assert'
import type { QualityAction, QualityPolicy } from './quality-stage.ts'

const WARN_ONLY: QualityPolicy = { repetition: 'warn', 'low-entropy': 'warn', 'broken-encoding': 'warn', whitespace: 'warn', 'off-schema': 'warn' }

/** A model's own entry, else that of `*`, else warnings; null = all is off. */
export function qualityPolicyOf(config: QualityConfig, model: string): QualityPolicy | null {
  const entry = Object.hasOwn(config, model) ? config[model] : config['*']
  if (entry === undefined) return WARN_ONLY
  const { loopCharacters, loopRepeats, whitespaceRun, ...actions } = entry
  const policy: QualityPolicy = {
    repetition: actionOf(actions.repetition),
    'low-entropy': actionOf(actions['low-entropy']),
    'broken-encoding': actionOf(actions['broken-encoding']),
    whitespace: actionOf(actions.whitespace),
    'off-schema': actionOf(actions['off-schema']),
    limits: {
      ...(loopCharacters === undefined ? {} : { loopCharacters }),
      ...(loopRepeats === undefined ? {} : { loopRepeats }),
      ...(whitespaceRun === undefined ? {} : { whitespaceRun }),
    },
  }
  return Object.values(actions).every((action) => action === 'off') ? null : policy
}

function actionOf(action: QualityConfig[string]['repetition']): QualityAction {
  assert(action !== 'adjust', 'the schema refuses adjust')
  return action
}
