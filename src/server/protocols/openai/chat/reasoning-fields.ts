/**
 * How long the model may think: OpenAI's `reasoning_effort`, OpenRouter's `reasoning`, the budgets of vLLM (`thinking_token_budget`) and
 * llama.cpp (`reasoning_budget_tokens`, `thinking_budget_tokens`), and `chat_template_kwargs.enable_thinking`. Together they must agree.
 */
import type { InferdError } from '#contract/errors'
import type { JsonRecord, ReasoningOptions } from '#contract/generate'
import type { DecodeContext } from '#server/operation'
import { checkItemCount, type FieldRules, type Fields, invalid } from '#server/fields'

/** Rules of the fields read here. `include_reasoning` and `reasoning_format` say where the thoughts go: only the one place is offered. */
export const REASONING_RULES = {
  reasoning_effort: 'read',
  reasoning: 'read',
  thinking_token_budget: 'read',
  reasoning_budget_tokens: 'read',
  thinking_budget_tokens: 'read',
  chat_template_kwargs: 'read',
  include_reasoning: (value) => value === true,
  reasoning_format: (value) => value === 'auto' || value === 'deepseek',
} as const satisfies FieldRules

export interface ReasoningChoice {
  readonly reasoning: ReasoningOptions
  /** What is left of `chat_template_kwargs`; null = nothing. */
  readonly templateVariables: JsonRecord | null
  /** The field to name when the engine refuses. */
  readonly field: string
}

/** Tokens of reasoning that an effort stands for; null = no limit. docs/reference/openai.md is the user's copy. */
export const EFFORT_BUDGETS = { minimal: 128, low: 512, medium: 2048, high: 8192, xhigh: null, max: null } as const
const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const
const BUDGET_FIELDS = ['thinking_token_budget', 'reasoning_budget_tokens', 'thinking_budget_tokens'] as const
const INT32_MAX = 2 ** 31 - 1

const VARIABLE_NAME = /^[a-zA-Z][a-zA-Z0-9_]{0,63}$/

/** One thing that one field says. */
interface Saying<Value> {
  readonly field: string
  readonly value: Value
}

interface Sayings {
  readonly switches: Saying<boolean>[]
  readonly efforts: Saying<Exclude<(typeof EFFORTS)[number], 'none'>>[]
  /** null = no limit. */
  readonly budgets: Saying<number | null>[]
}

export function readReasoning(fields: Fields, context: DecodeContext): ReasoningChoice {
  const said: Sayings = { switches: [], efforts: [], budgets: [] }
  sayEffort(fields, 'reasoning_effort', said)
  const nested = fields.nestedFields('reasoning')
  if (nested !== null) sayNested(nested, said)
  for (const key of BUDGET_FIELDS) sayBudget(fields, key, said)
  const templateVariables = readTemplateVariables(fields, context, said)
  const enabled = agreed(said.switches)
  const effort = agreed(said.efforts)
  const budget = agreed(said.budgets)
  const field = (budget ?? effort ?? enabled)?.field ?? 'reasoning_effort'
  if (effort !== null && templateVariables !== null && Object.hasOwn(templateVariables, 'reasoning_effort')) {
    throw conflict('chat_template_kwargs.reasoning_effort', effort.field)
  }
  if (enabled?.value === false) {
    if (budget !== null && budget.value !== null && budget.value > 0) throw conflict(budget.field, enabled.field)
    return { reasoning: { enabled: false, effort: null, budgetTokens: 0 }, templateVariables, field }
  }
  const effortBudget = effort === null ? null : EFFORT_BUDGETS[effort.value]
  const reasoning = {
    enabled: enabled?.value ?? null,
    effort: effort?.value ?? null,
    budgetTokens: budget === null ? effortBudget : budget.value,
  }
  return { reasoning, templateVariables, field }
}

/** An effort other than `none` also switches reasoning on. */
function sayEffort(fields: Fields, key: string, { switches, efforts }: Sayings): void {
  const value = fields.word(key, EFFORTS)
  if (value === null) return
  const field = fields.pathOf(key)
  switches.push({ field, value: value !== 'none' })
  if (value !== 'none') efforts.push({ field, value })
}

/** -1 = no limit; 0 also switches reasoning off. */
function sayBudget(fields: Fields, key: string, { switches, budgets }: Sayings): void {
  const value = fields.integer(key, { min: -1, max: INT32_MAX })
  if (value === null) return
  const field = fields.pathOf(key)
  budgets.push({ field, value: value === -1 ? null : value })
  if (value === 0) switches.push({ field, value: false })
}

/** OpenRouter's form: naming a budget there switches reasoning on. */
function sayNested(nested: Fields, said: Sayings): void {
  nested.check({ effort: 'read', max_tokens: 'read', enabled: 'read', exclude: (value) => value === false })
  sayEffort(nested, 'effort', said)
  sayBudget(nested, 'max_tokens', said)
  const [budget] = said.budgets
  if (budget !== undefined && budget.value !== 0) said.switches.push({ field: budget.field, value: true })
  const enabled = nested.boolean('enabled')
  if (enabled !== null) said.switches.push({ field: nested.pathOf('enabled'), value: enabled })
}

/** `enable_thinking` is a switch like the others; the rest goes to the template, which says what it takes. */
function readTemplateVariables(fields: Fields, { limits }: DecodeContext, { switches }: Sayings): JsonRecord | null {
  const record = fields.record('chat_template_kwargs')
  const kwargs = fields.nestedFields('chat_template_kwargs')
  if (record === null || kwargs === null) return null
  const entries = Object.entries(record)
  checkItemCount(entries, 'chat_template_kwargs', { maxItems: limits.maxTemplateVariables })
  for (const [key] of entries) {
    if (!VARIABLE_NAME.test(key))
      throw invalid('chat_template_kwargs', 'keys of chat_template_kwargs must be names of up to 64 letters, digits and underscores')
  }
  const enabled = kwargs.boolean('enable_thinking')
  if (enabled !== null) switches.push({ field: kwargs.pathOf('enable_thinking'), value: enabled })
  const rest = entries.filter(([key]) => key !== 'enable_thinking')
  return rest.length === 0 ? null : Object.fromEntries(rest)
}

/** What the fields say, when they say the same. */
function agreed<Value>(sayings: readonly Saying<Value>[]): Saying<Value> | null {
  const [first] = sayings
  const other = sayings.find(({ value }) => value !== first?.value)
  if (first !== undefined && other !== undefined) throw conflict(other.field, first.field)
  return first ?? null
}

function conflict(field: string, other: string): InferdError {
  return invalid(field, `${field} contradicts ${other}`)
}
