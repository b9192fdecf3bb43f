/** `CreateGuardrail` and `UpdateGuardrail` bodies as the neutral definition. What no guardrail here can do is refused by its path. */
import type { FilterStrength, GuardAction, GuardDirections, GuardrailDefinition, GuardrailPolicy, PiiType } from '#contract/guardrail'
import { type FieldRules, Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'

const NAME = /^[0-9a-zA-Z-_]{1,50}$/
const PII_TYPES: readonly PiiType[] = [
  'EMAIL',
  'PHONE',
  'CREDIT_DEBIT_CARD_NUMBER',
  'INTERNATIONAL_BANK_ACCOUNT_NUMBER',
  'IP_ADDRESS',
  'MAC_ADDRESS',
  'URL',
  'US_SOCIAL_SECURITY_NUMBER',
  'AWS_ACCESS_KEY',
  'AWS_SECRET_KEY',
  'API_KEY',
  'PASSWORD',
  'NAME',
]
const FILTER_TYPES = ['SEXUAL', 'VIOLENCE', 'HATE', 'INSULTS', 'MISCONDUCT', 'PROMPT_ATTACK'] as const
const STRENGTHS = ['NONE', 'LOW', 'MEDIUM', 'HIGH'] as const
/** Of lists, as the service bounds them. */
const MAX_WORDS = 10_000
const MAX_TOPICS = 30
const MAX_EXAMPLES = 5
const MAX_REGEXES = 10
const MAX_THRESHOLD = 0.99

const DIRECTION_RULES = { inputAction: 'read', outputAction: 'read', inputEnabled: 'read', outputEnabled: 'read' } as const satisfies FieldRules

/** The models of this server that judge meaning; Bedrock's API has no field for them. */
export type JudgeModels = Pick<GuardrailPolicy, 'embeddingModel' | 'classifierModel'>

export const DEFINITION_RULES: FieldRules = {
  name: 'read',
  description: 'read',
  topicPolicyConfig: 'read',
  contentPolicyConfig: 'read',
  wordPolicyConfig: 'read',
  sensitiveInformationPolicyConfig: 'read',
  contextualGroundingPolicyConfig: 'read',
  blockedInputMessaging: 'read',
  blockedOutputsMessaging: 'read',
  automatedReasoningPolicyConfig: () => false,
  crossRegionConfig: () => false,
  kmsKeyId: () => false,
}

export function readDefinition(fields: Fields, judges: JudgeModels): GuardrailDefinition {
  const name = fields.requiredText('name')
  if (!NAME.test(name)) throw invalid('name', 'name must have 1 to 50 letters, digits, dashes and underscores')
  const messages = { minLength: 1, maxLength: 500 } as const
  return {
    name,
    description: fields.text('description', { maxLength: 200 }) ?? '',
    blockedInputMessage: fields.requiredText('blockedInputMessaging', messages),
    blockedOutputMessage: fields.requiredText('blockedOutputsMessaging', messages),
    policy: {
      ...readWordPolicy(fields.nestedFields('wordPolicyConfig')),
      ...readSensitivePolicy(fields.nestedFields('sensitiveInformationPolicyConfig')),
      topics: readTopics(fields.nestedFields('topicPolicyConfig')),
      contentFilters: readFilters(fields.nestedFields('contentPolicyConfig')),
      grounding: readGrounding(fields.nestedFields('contextualGroundingPolicyConfig')),
      ...judges,
    },
  }
}

function readWordPolicy(policy: Fields | null): Pick<GuardrailPolicy, 'words' | 'profanity'> {
  policy?.check({ wordsConfig: 'read', managedWordListsConfig: 'read' })
  const words = rowsOf(policy, 'wordsConfig', MAX_WORDS).map((row) => {
    row.check({ text: 'read', ...DIRECTION_RULES })
    return { text: row.requiredText('text', { minLength: 1, maxLength: 100 }), ...readDirections(row, 'BLOCK') }
  })
  const [profanity = null] = rowsOf(policy, 'managedWordListsConfig', 1).map((row) => {
    row.check({ type: 'read', ...DIRECTION_RULES })
    if (row.word('type', ['PROFANITY']) === null) throw row.missing('type')
    return readDirections(row, 'BLOCK')
  })
  return { words, profanity }
}

function readSensitivePolicy(policy: Fields | null): Pick<GuardrailPolicy, 'pii' | 'regexes'> {
  policy?.check({ piiEntitiesConfig: 'read', regexesConfig: 'read' })
  const pii = rowsOf(policy, 'piiEntitiesConfig', PII_TYPES.length).map((row) => {
    row.check({ type: 'read', action: 'read', ...DIRECTION_RULES })
    const word = row.requiredText('type')
    const type = PII_TYPES.find((each) => each === word)
    if (type === undefined) throw unsupported(row.pathOf('type'), `${row.pathOf('type')}: this server finds ${PII_TYPES.join(', ')}`)
    return { type, ...readDirections(row, row.requiredText('action')) }
  })
  const regexes = rowsOf(policy, 'regexesConfig', MAX_REGEXES).map((row) => {
    row.check({ name: 'read', description: 'read', pattern: 'read', action: 'read', ...DIRECTION_RULES })
    return {
      name: row.requiredText('name', { minLength: 1, maxLength: 100 }),
      description: row.text('description', { maxLength: 1000 }) ?? '',
      pattern: row.requiredText('pattern', { minLength: 1, maxLength: 500 }),
      ...readDirections(row, row.requiredText('action')),
    }
  })
  return { pii, regexes }
}

function readTopics(policy: Fields | null): GuardrailPolicy['topics'] {
  policy?.check({ topicsConfig: 'read', tierConfig: isClassic })
  return rowsOf(policy, 'topicsConfig', MAX_TOPICS).map((row) => {
    row.check({ name: 'read', definition: 'read', examples: 'read', type: 'read', ...DIRECTION_RULES })
    if (row.word('type', ['DENY']) === null) throw row.missing('type')
    const examples = row.list('examples', { maxItems: MAX_EXAMPLES }) ?? []
    return {
      name: row.requiredText('name', { minLength: 1, maxLength: 100 }),
      definition: row.requiredText('definition', { minLength: 1, maxLength: 200 }),
      examples: examples.map((example) => {
        if (typeof example !== 'string') throw row.mismatch('examples', 'an array of strings', example)
        return example
      }),
      ...readDirections(row, 'BLOCK'),
    }
  })
}

/** A filter that finds without blocking is not offered: its strength says where it acts. */
function readFilters(policy: Fields | null): GuardrailPolicy['contentFilters'] {
  policy?.check({ filtersConfig: 'read', tierConfig: isClassic })
  return rowsOf(policy, 'filtersConfig', FILTER_TYPES.length).map((row) => {
    const isBlock = (value: unknown): boolean => value === 'BLOCK'
    const isText = (value: unknown): boolean => Array.isArray(value) && value.every((each) => each === 'TEXT')
    row.check({
      type: 'read',
      inputStrength: 'read',
      outputStrength: 'read',
      inputEnabled: 'read',
      outputEnabled: 'read',
      inputAction: isBlock,
      outputAction: isBlock,
      inputModalities: isText,
      outputModalities: isText,
    })
    const type = row.word('type', FILTER_TYPES)
    if (type === null) throw row.missing('type')
    return {
      type,
      inputStrength: readStrength(row, 'inputStrength', 'inputEnabled'),
      outputStrength: readStrength(row, 'outputStrength', 'outputEnabled'),
    }
  })
}

function readStrength(row: Fields, key: string, enabled: string): FilterStrength {
  const strength = row.word(key, STRENGTHS)
  if (strength === null) throw row.missing(key)
  return row.boolean(enabled) === false ? 'NONE' : strength
}

function readGrounding(policy: Fields | null): GuardrailPolicy['grounding'] {
  policy?.check({ filtersConfig: 'read' })
  const grounding = { groundingThreshold: null as number | null, relevanceThreshold: null as number | null }
  const rows = rowsOf(policy, 'filtersConfig', 2)
  for (const row of rows) {
    row.check({ type: 'read', threshold: 'read', action: (value) => value === 'BLOCK', enabled: 'read' })
    const type = row.word('type', ['GROUNDING', 'RELEVANCE'])
    if (type === null) throw row.missing('type')
    const threshold = row.number('threshold', { min: 0, max: MAX_THRESHOLD })
    if (threshold === null) throw row.missing('threshold')
    if (row.boolean('enabled') !== false) grounding[type === 'GROUNDING' ? 'groundingThreshold' : 'relevanceThreshold'] = threshold
  }
  return rows.length === 0 ? null : grounding
}

const isClassic = (value: unknown): boolean => isJsonObject(value) && value['tierName'] === 'CLASSIC'

/** `action` is for both ways; one way's own action goes before it. A way that is off finds and does nothing. */
function readDirections(row: Fields, action: string): GuardDirections {
  return { input: actionOf(row, action, 'inputAction', 'inputEnabled'), output: actionOf(row, action, 'outputAction', 'outputEnabled') }
}

function actionOf(row: Fields, both: string, key: string, enabled: string): GuardAction {
  const word = row.text(key) ?? both
  if (row.boolean(enabled) === false) return 'none'
  switch (word) {
    case 'BLOCK':
      return 'block'
    case 'ANONYMIZE':
      return 'mask'
    case 'NONE':
      return 'none'
    default:
      throw invalid(row.pathOf(key), `${row.pathOf(key)} must be one of BLOCK, ANONYMIZE, NONE`)
  }
}

function rowsOf(policy: Fields | null, key: string, maxItems: number): readonly Fields[] {
  const items = policy?.list(key, { maxItems }) ?? []
  return items.map((item, index) => {
    const path = `${policy?.pathOf(key)}[${index}]`
    if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
    return new Fields(item, path)
  })
}
