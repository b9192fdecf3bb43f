/** Policies and ports that the safety tests share. */
import type { GuardrailPolicy, PiiType } from '#contract/guardrail'
import { InferdError } from '#contract/errors'
import type { SafetyPorts } from '#platform/safety/safety-ports'

export const EMPTY_POLICY: GuardrailPolicy = {
  words: [],
  profanity: null,
  regexes: [],
  pii: [],
  topics: [],
  contentFilters: [],
  grounding: null,
  embeddingModel: null,
  classifierModel: null,
}

/** No model judges. */
export const NO_MODELS: SafetyPorts = {
  embed: () => Promise.reject(new InferdError('model_not_found', 'there is no model')),
  classifierOf: () => ({ classify: () => Promise.reject(new InferdError('model_not_found', 'there is no model')) }),
}

export const PII_TYPES: readonly PiiType[] = [
  ...(['EMAIL', 'PHONE', 'CREDIT_DEBIT_CARD_NUMBER', 'INTERNATIONAL_BANK_ACCOUNT_NUMBER', 'IP_ADDRESS', 'MAC_ADDRESS', 'URL'] as const),
  ...(['US_SOCIAL_SECURITY_NUMBER', 'AWS_ACCESS_KEY', 'AWS_SECRET_KEY', 'API_KEY', 'PASSWORD', 'NAME'] as const),
]

export const BLOCKED_WORDS = ['Project Falcon', 'bluebird', '机密', 'straße', 'kill switch']

export const TOPICS: GuardrailPolicy['topics'] = [
  {
    name: 'Investment advice',
    definition: 'Advice or recommendations about which stocks, funds, bonds or cryptocurrencies to buy, sell or hold, or how to invest money.',
    examples: [
      'Which stocks should I buy this year?',
      'Is it a good time to invest in bitcoin?',
      'Should I sell my shares now?',
      'How should I invest my savings?',
      'Recommend a mutual fund for my retirement portfolio.',
      'Will the price of gold go up next month?',
    ],
    input: 'block',
    output: 'block',
  },
  {
    name: 'Medical diagnosis',
    definition: 'Diagnosing an illness from symptoms, or recommending a medication, a dose or a treatment for a patient.',
    examples: [
      'I have chest pain and a fever, what illness do I have?',
      'What dose of ibuprofen should I take?',
      'Which medication treats high blood pressure?',
      'Do my symptoms mean I have diabetes?',
      'Should I stop taking my antibiotics?',
      'What is the best treatment for a migraine?',
    ],
    input: 'block',
    output: 'block',
  },
]

export const POLICIES = {
  word: { ...EMPTY_POLICY, words: BLOCKED_WORDS.map((text) => ({ text, input: 'block', output: 'block' })) },
  profanity: { ...EMPTY_POLICY, profanity: { input: 'block', output: 'block' } },
  topic: { ...EMPTY_POLICY, topics: TOPICS },
  'prompt-attack': { ...EMPTY_POLICY, contentFilters: [{ type: 'PROMPT_ATTACK', inputStrength: 'MEDIUM', outputStrength: 'NONE' }] },
} as const satisfies Record<string, GuardrailPolicy>

export function piiPolicy(types: readonly PiiType[], action: 'block' | 'mask'): GuardrailPolicy {
  return { ...EMPTY_POLICY, pii: types.map((type) => ({ type, input: action, output: action })) }
}
