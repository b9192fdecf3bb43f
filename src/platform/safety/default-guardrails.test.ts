import { expect, test } from 'vitest'
import { guardrailsSection } from '#config/platform-file/guardrails'
import { makeDefaultGuardrails } from './default-guardrails.ts'

test('a model has its own default, else that of the star, else none', () => {
  const definitions = [{ name: 'house' }, { name: 'strict' }]
  const defaultOf = makeDefaultGuardrails(
    guardrailsSection.parse({ definitions, defaults: { m: { guardrail: 'strict' }, '*': { guardrail: 'house', streaming: 'async' } } }),
  )
  expect(defaultOf('m')).toEqual({ guardrail: 'strict', version: '1', trace: false, streaming: 'sync', content: null })
  expect(defaultOf('constructor')).toMatchObject({ guardrail: 'house', streaming: 'async' })
  expect(makeDefaultGuardrails(guardrailsSection.parse({}))('m')).toBeNull()
})

test('a default that names nothing is refused at the start', () => {
  expect(() => makeDefaultGuardrails(guardrailsSection.parse({ defaults: { m: { guardrail: 'gone' } } }))).toThrow("there is no definition 'gone'")
})
