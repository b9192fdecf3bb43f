/** A guardrail as GetGuardrail and ListGuardrails show it. */
import type { GuardAction, GuardDirections, Guardrail, GuardrailPolicy } from '#contract/guardrail'
import type { JsonRecord } from '#contract/generate'

/** Region and account of an ARN that no cloud gave out. */
const ARN_PREFIX = 'arn:aws:bedrock:local:000000000000:guardrail/'

export function guardrailArn(id: string): string {
  return `${ARN_PREFIX}${id}`
}

export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString()
}

export function encodeSummary({ id, name, description, version, createdMs, updatedMs }: Guardrail): JsonRecord {
  return {
    id,
    arn: guardrailArn(id),
    status: 'READY',
    name,
    ...(description === '' ? {} : { description }),
    version,
    createdAt: isoTime(createdMs),
    updatedAt: isoTime(updatedMs),
  }
}

export function encodeGuardrail(guardrail: Guardrail): JsonRecord {
  const { id, name, description, version, createdMs, updatedMs, blockedInputMessage, blockedOutputMessage, policy } = guardrail
  return {
    name,
    ...(description === '' ? {} : { description }),
    guardrailId: id,
    guardrailArn: guardrailArn(id),
    version,
    status: 'READY',
    ...encodePolicy(policy),
    createdAt: isoTime(createdMs),
    updatedAt: isoTime(updatedMs),
    statusReasons: [],
    failureRecommendations: [],
    blockedInputMessaging: blockedInputMessage,
    blockedOutputsMessaging: blockedOutputMessage,
  }
}

/** A policy without a rule is left out. */
function encodePolicy({ words, profanity, regexes, pii, topics, contentFilters, grounding }: GuardrailPolicy): JsonRecord {
  const hasWords = words.length > 0 || profanity !== null
  const hasSensitive = pii.length > 0 || regexes.length > 0
  return {
    ...(topics.length === 0
      ? {}
      : {
          topicPolicy: {
            topics: topics.map(({ name, definition, examples, ...ways }) => ({ name, definition, examples, type: 'DENY', ...encodeWays(ways) })),
          },
        }),
    ...(contentFilters.length === 0 ? {} : { contentPolicy: { filters: contentFilters.map((filter) => ({ ...filter })) } }),
    ...(hasWords
      ? {
          wordPolicy: {
            words: words.map(({ text, ...ways }) => ({ text, ...encodeWays(ways) })),
            managedWordLists: profanity === null ? [] : [{ type: 'PROFANITY', ...encodeWays(profanity) }],
          },
        }
      : {}),
    ...(hasSensitive
      ? {
          sensitiveInformationPolicy: {
            piiEntities: pii.map(({ type, ...ways }) => ({ type, action: bothWays(ways), ...encodeWays(ways) })),
            regexes: regexes.map(({ name, description, pattern, ...ways }) => ({
              name,
              ...(description === '' ? {} : { description }),
              pattern,
              action: bothWays(ways),
              ...encodeWays(ways),
            })),
          },
        }
      : {}),
    ...(grounding === null ? {} : { contextualGroundingPolicy: { filters: encodeGrounding(grounding) } }),
  }
}

function encodeGrounding({ groundingThreshold, relevanceThreshold }: NonNullable<GuardrailPolicy['grounding']>): JsonRecord[] {
  return [
    ...(groundingThreshold === null ? [] : [{ type: 'GROUNDING', threshold: groundingThreshold, action: 'BLOCK', enabled: true }]),
    ...(relevanceThreshold === null ? [] : [{ type: 'RELEVANCE', threshold: relevanceThreshold, action: 'BLOCK', enabled: true }]),
  ]
}

const ACTIONS: Readonly<Record<GuardAction, string>> = { block: 'BLOCK', mask: 'ANONYMIZE', none: 'NONE' }

function encodeWays({ input, output }: GuardDirections): JsonRecord {
  return { inputAction: ACTIONS[input], outputAction: ACTIONS[output], inputEnabled: true, outputEnabled: true }
}

/** Where the two ways differ, what is done to the answer. */
function bothWays({ output }: GuardDirections): string {
  return ACTIONS[output]
}
