/** From the platform's file to what a model's monitor does. */
import type { QualityConfig } from '#config/platform-file/quality'
import type { SamplingChange } from '#contract/generate'
import type { QualityPolicy } from './quality-stage.ts'

const WARN_ONLY: QualityPolicy = {
  repetition: 'warn',
  'low-entropy': 'warn',
  'broken-encoding': 'warn',
  whitespace: 'warn',
  'off-schema': 'warn',
  adjustment: {},
}

/** A model's own entry, else that of `*`, else warnings; null = all is off. */
export function qualityPolicyOf(config: QualityConfig, model: string): QualityPolicy | null {
  const entry = Object.hasOwn(config, model) ? config[model] : config['*']
  if (entry === undefined) return WARN_ONLY
  const { loopCharacters, loopRepeats, whitespaceRun, adjustment, ...actions } = entry
  const policy: QualityPolicy = {
    ...actions,
    adjustment: definedOf(adjustment),
    limits: {
      ...(loopCharacters === undefined ? {} : { loopCharacters }),
      ...(loopRepeats === undefined ? {} : { loopRepeats }),
      ...(whitespaceRun === undefined ? {} : { whitespaceRun }),
    },
  }
  return Object.values(actions).every((action) => action === 'off') ? null : policy
}

function definedOf(adjustment: QualityConfig[string]['adjustment']): SamplingChange {
  return Object.fromEntries(Object.entries(adjustment).filter(([, value]) => value !== undefined))
}
