import { beforeEach, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { guardrailsSection } from '#config/platform-file/guardrails'
import type { GuardrailDefinition, GuardrailPolicy } from '#contract/guardrail'
import type { Store } from '#platform/store/open-store'
import { EMPTY_POLICY, NO_MODELS, piiPolicy } from '../../../tests/safety/policies.ts'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { PolicyCache } from './compiled-policy.ts'
import { GuardrailArchive } from './guardrail-archive.ts'

let store: Store
let archive: GuardrailArchive
const config = guardrailsSection.parse({ definitions: [{ name: 'house', policy: { words: [{ text: 'secret' }] } }] })
const { signal } = new AbortController()

function definitionOf(name: string, policy: GuardrailPolicy = piiPolicy(['EMAIL'], 'mask')): GuardrailDefinition {
  return { name, description: '', blockedInputMessage: 'no', blockedOutputMessage: 'no', policy }
}

onEachStore(({ open }) => {
  beforeEach(async () => {
    store = await open()
    archive = new GuardrailArchive({
      store,
      fixed: config.definitions,
      models: { embedding: null, classifier: null },
      policies: new PolicyCache(NO_MODELS),
      clock: new FakeClock(),
    })
  })

  test('a draft changes, its versions do not, and teams do not see each other', async () => {
    const draft = await archive.create('a', definitionOf('mail'), null)
    expect(draft).toMatchObject({ version: 'DRAFT', id: expect.stringMatching(/^[a-z0-9]{12}$/) })
    const first = await archive.createVersion({ team: 'a', guardrail: draft.id }, { description: 'the first', token: null })
    expect(first.version).toBe('1')
    expect(await archive.get({ team: 'a', guardrail: draft.id, version: '1' })).toMatchObject({ team: 'a', description: 'the first' })
    await archive.update(
      { team: 'a', guardrail: `arn:aws:bedrock:us-east-1:1:guardrail/${draft.id}` },
      definitionOf('mail-2', { ...EMPTY_POLICY, profanity: { input: 'block', output: 'block' } }),
    )
    expect(await archive.get({ team: 'a', guardrail: 'mail-2', version: '1' })).toMatchObject({ name: 'mail', policy: { profanity: null } })
    expect(await archive.get({ team: 'a', guardrail: draft.id, version: 'DRAFT' })).toMatchObject({ name: 'mail-2', policy: { pii: [] } })
    expect((await archive.createVersion({ team: 'a', guardrail: draft.id }, { description: '', token: null })).version).toBe('2')
    await expect(archive.get({ team: 'b', guardrail: draft.id, version: 'DRAFT' })).rejects.toMatchObject({ code: 'resource_not_found' })
    expect((await archive.list('b')).map(({ id }) => id)).toEqual(['house'])
    await archive.delete({ team: 'a', guardrail: draft.id, version: '1' })
    await expect(archive.get({ team: 'a', guardrail: draft.id, version: '1' })).rejects.toMatchObject({ code: 'resource_not_found' })
    await archive.delete({ team: 'a', guardrail: draft.id, version: null })
    expect((await archive.list('a')).map(({ id }) => id)).toEqual(['house'])
  })

  test('a name is taken once for a team, and those of the operator by nobody', async () => {
    await archive.create('c', definitionOf('one'), null)
    await expect(archive.create('c', definitionOf('one'), null)).rejects.toMatchObject({ code: 'conflict' })
    await expect(archive.create('c', definitionOf('house'), null)).rejects.toMatchObject({ code: 'conflict' })
    await expect(archive.update({ team: 'c', guardrail: 'house' }, definitionOf('x'))).rejects.toMatchObject({ code: 'conflict' })
    await expect(archive.delete({ team: 'c', guardrail: 'house', version: null })).rejects.toMatchObject({ code: 'conflict' })
  })

  test('applies to content, in both directions', async () => {
    const query = { team: 'd', guardrail: 'house', version: '1' }
    const blocked = await archive.apply(query, 'input', [{ text: 'a SECRET', qualifiers: [] }], signal)
    expect(blocked).toMatchObject({ intervened: true, outputs: ['The request was blocked by a guardrail.'], guardrail: { team: 'd' } })
    expect(await archive.apply(query, 'output', [{ text: 'fine', qualifiers: [] }], signal)).toMatchObject({ intervened: false, outputs: ['fine'] })
  })

  test('grounding without a model compares words and numbers', async () => {
    const grounding = { groundingThreshold: 0.7, relevanceThreshold: 0.3 }
    await archive.create('e', definitionOf('ground', { ...EMPTY_POLICY, grounding }), null)
    const context = [
      { text: 'London is the capital of the United Kingdom. The Thames runs through it for 346 km.', qualifiers: ['grounding_source'] as const },
      { text: 'What is the capital of the United Kingdom?', qualifiers: ['query'] as const },
    ]
    const apply = async (text: string) =>
      (
        await archive.apply(
          { team: 'e', guardrail: 'ground', version: 'DRAFT' },
          'output',
          [...context, { text, qualifiers: ['guard_content'] }],
          signal,
        )
      ).assessment.findings
    expect((await apply('The capital of the United Kingdom is London.')).map(({ action }) => action)).toEqual(['none', 'none'])
    expect((await apply('The capital of the United Kingdom is London. It has 12 million penguins.'))[0]).toMatchObject({
      policy: 'grounding',
      action: 'block',
    })
    expect((await apply('The Thames runs for 346 km.'))[1]).toMatchObject({ policy: 'relevance', action: 'block' })
  })

  test.each<[string, Partial<GuardrailPolicy>, string]>([
    [
      'a pattern that needs back references',
      { regexes: [{ name: 'x', description: '', pattern: String.raw`(a)\1`, input: 'block', output: 'block' }] },
      'invalid_parameter',
    ],
    [
      'a pattern that is large when written out',
      { regexes: [{ name: 'x', description: '', pattern: '((a{30}){30}b){9}', input: 'block', output: 'block' }] },
      'invalid_parameter',
    ],
    [
      'a pattern that matches nothing at all',
      { regexes: [{ name: 'x', description: '', pattern: 'a*', input: 'block', output: 'block' }] },
      'invalid_parameter',
    ],
    ['a word of invisible characters', { words: [{ text: '\u200b', input: 'block', output: 'block' }] }, 'invalid_parameter'],
    ['the same type twice', { pii: [...piiPolicy(['URL'], 'mask').pii, ...piiPolicy(['URL'], 'block').pii] }, 'invalid_parameter'],
    ['a filter that nobody can judge', { contentFilters: [{ type: 'HATE', inputStrength: 'LOW', outputStrength: 'NONE' }] }, 'unsupported_parameter'],
    [
      'prompt attacks in the output',
      { contentFilters: [{ type: 'PROMPT_ATTACK', inputStrength: 'LOW', outputStrength: 'LOW' }] },
      'invalid_parameter',
    ],
    ['a threshold of one', { grounding: { groundingThreshold: 1, relevanceThreshold: null } }, 'invalid_parameter'],
  ])('refuses %s', async (_, policy, code) => {
    await expect(archive.create('f', definitionOf('bad', { ...EMPTY_POLICY, ...policy }), null)).rejects.toMatchObject({ code })
  })
})
