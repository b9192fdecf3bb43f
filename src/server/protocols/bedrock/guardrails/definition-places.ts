/** What is found at fault in a definition, as the field that a client of the control plane sent. */
import { InferdError } from '#contract/errors'
import type { GuardrailDefinition, GuardrailPolicy } from '#contract/guardrail'

const WORDS: Readonly<Partial<Record<keyof GuardrailDefinition | keyof GuardrailPolicy, string>>> = {
  blockedInputMessage: 'blockedInputMessaging',
  blockedOutputMessage: 'blockedOutputsMessaging',
  words: 'wordPolicyConfig.wordsConfig',
  profanity: 'wordPolicyConfig.managedWordListsConfig',
  regexes: 'sensitiveInformationPolicyConfig.regexesConfig',
  pii: 'sensitiveInformationPolicyConfig.piiEntitiesConfig',
  topics: 'topicPolicyConfig.topicsConfig',
  contentFilters: 'contentPolicyConfig.filtersConfig',
  grounding: 'contextualGroundingPolicyConfig.filtersConfig',
}

/** Rejects as `work` does, with the caller's name of the place; a message may begin with ours. */
export async function inCallersWords<Value>(work: Promise<Value>): Promise<Value> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof InferdError) || error.param === null || !Object.hasOwn(WORDS, error.param)) throw error
    const { code, message, param } = error
    const place = WORDS[param as keyof typeof WORDS] ?? param
    throw new InferdError(code, message.startsWith(`${param}: `) ? `${place}${message.slice(param.length)}` : message, { param: place, cause: error })
  }
}
