/** What a guardrail found, as `GuardrailAssessment` of the runtime's service model. */
import type { GuardAssessment, GuardFinding, GuardrailTrace } from '#contract/guardrail'
import type { JsonRecord, JsonValue } from '#contract/generate'

/** As the service counts: one unit for each 1,000 characters that have begun. */
const CHARACTERS_PER_UNIT = 1000

export interface WireGuardrailTrace {
  readonly inputAssessment?: JsonRecord
  readonly outputAssessments?: JsonRecord
  readonly actionReason?: string
}

/** Of `trace.guardrail`; null unless the caller asked to see it. */
export function encodeGuardrailTrace(trace: GuardrailTrace | null): WireGuardrailTrace | null {
  if (trace === null || !trace.shown) return null
  const { guardrailId, intervened, assessments } = trace
  const input = assessments.find(({ direction }) => direction === 'input')
  const outputs = assessments.filter(({ direction }) => direction === 'output')
  return {
    ...(input === undefined ? {} : { inputAssessment: { [guardrailId]: encodeAssessment(input) } }),
    ...(outputs.length === 0 ? {} : { outputAssessments: { [guardrailId]: outputs.map(encodeAssessment) } }),
    ...(intervened ? { actionReason: actionReason(assessments) } : {}),
  }
}

export function actionReason(assessments: readonly GuardAssessment[]): string {
  const actions = assessments.flatMap(({ findings }) => findings.map(({ action }) => action))
  if (actions.includes('block')) return 'Guardrail blocked.'
  return actions.includes('mask') ? 'Guardrail masked.' : 'No action.'
}

/** Policies without a finding are left out. */
export function encodeAssessment({ findings, judgedCharacters, latencyMs }: GuardAssessment): JsonRecord {
  const rows = (...policies: readonly GuardFinding['policy'][]): readonly GuardFinding[] => findings.filter(({ policy }) => policies.includes(policy))
  const topics = rows('topic').map((finding) => ({ name: finding.rule, type: 'DENY', ...outcomeOf(finding) }))
  const filters = rows('content', 'prompt-attack').map((finding) => ({
    type: finding.policy === 'prompt-attack' ? 'PROMPT_ATTACK' : finding.rule,
    confidence: finding.confidence ?? 'NONE',
    ...outcomeOf(finding),
  }))
  const customWords = rows('word').map((finding) => ({ match: finding.match, ...outcomeOf(finding) }))
  const managedWordLists = rows('profanity').map((finding) => ({ match: finding.match, type: 'PROFANITY', ...outcomeOf(finding) }))
  const piiEntities = rows('pii').map((finding) => ({ match: finding.match, type: finding.rule, ...outcomeOf(finding) }))
  const regexes = rows('regex').map((finding) => ({ name: finding.rule, match: finding.match, ...outcomeOf(finding) }))
  const groundings = rows('grounding', 'relevance').map((finding) => ({
    type: finding.policy === 'grounding' ? 'GROUNDING' : 'RELEVANCE',
    threshold: finding.threshold ?? 0,
    score: finding.score ?? 0,
    ...outcomeOf(finding),
  }))
  const has = (...lists: readonly (readonly JsonValue[])[]): boolean => lists.some(({ length }) => length > 0)
  return {
    ...(has(topics) ? { topicPolicy: { topics } } : {}),
    ...(has(filters) ? { contentPolicy: { filters } } : {}),
    ...(has(customWords, managedWordLists) ? { wordPolicy: { customWords, managedWordLists } } : {}),
    ...(has(piiEntities, regexes) ? { sensitiveInformationPolicy: { piiEntities, regexes } } : {}),
    ...(has(groundings) ? { contextualGroundingPolicy: { filters: groundings } } : {}),
    invocationMetrics: {
      guardrailProcessingLatency: Math.round(latencyMs),
      usage: guardrailUsage(judgedCharacters),
      guardrailCoverage: characterCoverage(judgedCharacters),
    },
  }
}

/** One walk over the text serves all policies here, whichever there are. */
export function guardrailUsage(judgedCharacters: number): JsonRecord {
  const units = Math.ceil(judgedCharacters / CHARACTERS_PER_UNIT)
  return {
    topicPolicyUnits: units,
    contentPolicyUnits: units,
    wordPolicyUnits: units,
    sensitiveInformationPolicyUnits: units,
    sensitiveInformationPolicyFreeUnits: units,
    contextualGroundingPolicyUnits: units,
  }
}

export function characterCoverage(judgedCharacters: number, total = judgedCharacters): JsonRecord {
  return { textCharacters: { guarded: judgedCharacters, total } }
}

function outcomeOf({ action }: GuardFinding): JsonRecord {
  return { action: action === 'block' ? 'BLOCKED' : action === 'mask' ? 'ANONYMIZED' : 'NONE', detected: true }
}
