/** The guardrails that the operator has set for models, by the names under which they are called. */
import type { GuardrailsConfig } from '#config/platform-file/guardrails'
import type { GuardrailChoice } from '#contract/call'
import { InferdError } from '#contract/errors'

/** Throws invalid_parameter for a default that names no definition of the file. */
export function makeDefaultGuardrails({ definitions, defaults }: GuardrailsConfig): (model: string) => GuardrailChoice | null {
  const choices = new Map<string, GuardrailChoice>()
  for (const [model, { guardrail, streaming, trace }] of Object.entries(defaults)) {
    if (!definitions.some(({ name }) => name === guardrail)) {
      throw new InferdError('invalid_parameter', `guardrails.defaults.${model}: there is no definition '${guardrail}'`, { param: '--config' })
    }
    choices.set(model, { guardrail, version: '1', trace, streaming, content: null })
  }
  return (model) => choices.get(model) ?? choices.get('*') ?? null
}
