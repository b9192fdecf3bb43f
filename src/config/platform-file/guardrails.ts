/** Guardrails that every team may use, those that models always have, and the models that judge. */
import { z } from 'zod'

const action = z.enum(['block', 'mask', 'none'])
const directions = {
  input: action.default('block').describe('What happens to input.'),
  output: action.default('block').describe('What happens to output.'),
}
const strength = z.enum(['NONE', 'LOW', 'MEDIUM', 'HIGH'])
const threshold = z.number().min(0).max(0.99).nullable().default(null)
const modelName = z.string().min(1).max(128)

const policy = z
  .strictObject({
    words: z
      .array(z.strictObject({ text: z.string().min(1).max(100), ...directions }))
      .max(10_000)
      .default([])
      .describe('Words and phrases.'),
    profanity: z.strictObject(directions).nullable().default(null).describe('The managed list of profanity.'),
    regexes: z
      .array(
        z.strictObject({
          name: z.string().min(1).max(100),
          description: z.string().max(1000).default(''),
          pattern: z.string().min(1).max(500),
          ...directions,
        }),
      )
      .max(32)
      .default([])
      .describe('Patterns in the syntax of RE2.'),
    pii: z
      .array(
        z.strictObject({
          type: z.enum([
            ...(['EMAIL', 'PHONE', 'CREDIT_DEBIT_CARD_NUMBER', 'INTERNATIONAL_BANK_ACCOUNT_NUMBER', 'IP_ADDRESS', 'MAC_ADDRESS', 'URL'] as const),
            ...(['US_SOCIAL_SECURITY_NUMBER', 'AWS_ACCESS_KEY', 'AWS_SECRET_KEY', 'API_KEY', 'PASSWORD', 'NAME'] as const),
          ]),
          ...directions,
        }),
      )
      .max(13)
      .default([])
      .describe('Personal data and secrets.'),
    topics: z
      .array(
        z.strictObject({
          name: z.string().min(1).max(100),
          definition: z.string().min(1).max(1000),
          examples: z.array(z.string().min(1).max(1000)).max(32).default([]),
          ...directions,
        }),
      )
      .max(30)
      .default([])
      .describe('Denied topics.'),
    contentFilters: z
      .array(
        z.strictObject({
          type: z.enum(['HATE', 'INSULTS', 'SEXUAL', 'VIOLENCE', 'MISCONDUCT', 'PROMPT_ATTACK']),
          inputStrength: strength.default('NONE'),
          outputStrength: strength.default('NONE'),
        }),
      )
      .max(6)
      .default([])
      .describe('Content filters.'),
    grounding: z
      .strictObject({ groundingThreshold: threshold, relevanceThreshold: threshold })
      .nullable()
      .default(null)
      .describe('Contextual grounding.'),
    embeddingModel: modelName.nullable().default(null).describe('Overrides the server-wide one.'),
    classifierModel: modelName.nullable().default(null).describe('Overrides the server-wide one.'),
  })
  .prefault({})

export const guardrailsSection = z
  .strictObject({
    embeddingModel: modelName.nullable().default(null).describe('Model whose embeddings judge topics and grounding; without one words are compared.'),
    classifierModel: modelName.nullable().default(null).describe('Model that is asked whether text falls under a content filter.'),
    definitions: z
      .array(
        z.strictObject({
          name: z.string().regex(/^[\w-]{1,50}$/, '1 to 50 letters, digits, - and _'),
          description: z.string().max(200).default(''),
          blockedInputMessage: z.string().min(1).max(500).default('The request was blocked by a guardrail.'),
          blockedOutputMessage: z.string().min(1).max(500).default('The answer was blocked by a guardrail.'),
          policy: policy.describe('What is looked for.'),
        }),
      )
      .max(100)
      .default([])
      .describe('Read-only guardrails of all teams; their id is their name, their version 1.'),
    defaults: z
      .record(
        modelName,
        z.strictObject({
          guardrail: z.string().min(1).max(200).describe('Name of one of the definitions.'),
          streaming: z.enum(['sync', 'async']).default('sync').describe('sync: text is held back until it is judged.'),
          trace: z.boolean().default(false).describe('Callers see its findings.'),
        }),
      )
      .default({})
      .describe('By model or alias: the guardrail of all its calls; `*` is that of models not named. Callers may add one and not take it away.'),
  })
  .prefault({})
  .describe('Guardrails.')

export type GuardrailsConfig = z.infer<typeof guardrailsSection>
