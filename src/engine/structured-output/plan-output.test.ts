import { expect, test } from 'vitest'
import { type OutputOptions, PLAIN_OUTPUT, type ToolOptions } from '#contract/generate'
import type { AnswerFormat } from '#engine/chat-format/answer-format'
import { gemmaSyntax } from '#engine/chat-format/tool-syntaxes/gemma'
import { hermesSyntax } from '#engine/chat-format/tool-syntaxes/hermes'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { planOutput } from './plan-output.ts'

const tokenizer = { tokenId: () => null } as unknown as Tokenizer
const THINK = { open: '<think>', close: '</think>' }
const HERMES: AnswerFormat = {
  syntax: hermesSyntax,
  readsCalls: true,
  reasoning: null,
  startsInsideReasoning: false,
  mayOpenReasoning: false,
  markTexts: new Map(),
  stopTokenIds: [],
}

function withTools(tools: Partial<ToolOptions>): OutputOptions {
  const definitions = ['f', 'g'].map((name) => ({ name, description: `what ${name} does`, parameters: null, strict: false }))
  return { ...PLAIN_OUTPUT, tools: { definitions, choice: 'auto', parallel: true, ...tools } }
}

test('plain text needs no grammar and no guide', () => {
  expect(planOutput(PLAIN_OUTPUT, null, tokenizer)).toEqual({ spec: null, reasoningBudget: null })
  expect(planOutput(PLAIN_OUTPUT, { ...HERMES, syntax: null, reasoning: THINK, mayOpenReasoning: true }, tokenizer)).toEqual({
    spec: null,
    reasoningBudget: null,
  })
})

test('requests whose tools differ only in what explains them share a grammar', () => {
  const { spec } = planOutput(withTools({}), HERMES, tokenizer)
  expect(spec?.tools).toMatchObject({ mode: 'auto', parallel: true })
  expect(spec?.tools?.definitions.map(({ description }) => description)).toEqual([null, null])
})

test('a named tool is the only one, once; none leaves no tool at all', () => {
  expect(planOutput(withTools({ choice: { name: 'g' } }), HERMES, tokenizer).spec?.tools).toMatchObject({
    definitions: [{ name: 'g' }],
    mode: 'required',
    parallel: false,
  })
  expect(planOutput(withTools({ choice: 'none' }), HERMES, tokenizer).spec?.tools).toMatchObject({ definitions: [], mode: 'none' })
})

test('a syntax that no grammar holds takes only what the model may decide', () => {
  const gemma = { ...HERMES, syntax: gemmaSyntax }
  expect(planOutput(withTools({}), gemma, tokenizer).spec).toBeNull()
  for (const choice of ['required', { name: 'f' }] as const) {
    expect(() => planOutput(withTools({ choice }), gemma, tokenizer)).toThrow(
      expect.objectContaining({ code: 'invalid_parameter', param: 'output.tools' }),
    )
  }
})

test('a reasoning budget needs a guide where the model can think, a grammar leaves room for it', () => {
  const output = { ...PLAIN_OUTPUT, reasoning: { enabled: true, effort: null, budgetTokens: 5 } }
  const thinking = { ...HERMES, syntax: null, reasoning: THINK }
  expect(planOutput(output, { ...thinking, startsInsideReasoning: true }, tokenizer)).toMatchObject({
    spec: null,
    reasoningBudget: { spec: { start: 'inside' }, budgetTokens: 5 },
  })
  expect(planOutput(output, { ...thinking, mayOpenReasoning: true }, tokenizer).reasoningBudget?.spec.start).toBe('may-open')
  expect(planOutput(output, thinking, tokenizer).reasoningBudget).toBeNull()
  const format = { kind: 'json-object', whitespace: 'none' } as const
  expect(planOutput({ ...PLAIN_OUTPUT, format }, { ...thinking, startsInsideReasoning: true }, tokenizer).spec?.reasoning?.start).toBe('inside')
})
