import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type EndpointTarget, modelOfTarget, variantName } from './endpoint-model.ts'

const NOTHING: EndpointTarget = { endpoint: null, component: null, targetModel: null, variant: null, bodyModel: null }
const MODELS = ['org/chat-7b', 'embed', 'org.chat_7b2', 'a/b', 'a_b']

function modelOf(target: Partial<EndpointTarget>): string {
  return modelOfTarget({ ...NOTHING, ...target }, MODELS)
}

test('a model answers to its own name and to its name in dashes', () => {
  expect(modelOf({ endpoint: 'embed' })).toBe('embed')
  expect(modelOf({ endpoint: 'org-chat-7b' })).toBe('org/chat-7b')
  expect(modelOf({ targetModel: 'org/chat-7b' })).toBe('org/chat-7b')
  expect(modelOf({ targetModel: '/org/chat-7b.tar.gz' })).toBe('org/chat-7b')
})

test('the most special name counts', () => {
  const all = { endpoint: 'none', targetModel: 'none', component: 'embed', bodyModel: 'none' }
  expect(modelOf(all)).toBe('embed')
  expect(modelOf({ ...all, variant: 'org-chat-7b2' })).toBe('org.chat_7b2')
  expect(modelOf({ ...all, variant: 'AllTraffic' })).toBe('embed')
})

test('a container without a name serves its first model, or the one that the body names', () => {
  expect(modelOf({})).toBe('org/chat-7b')
  expect(modelOf({ bodyModel: 'embed' })).toBe('embed')
  expect(modelOfTarget(NOTHING, [])).toBe('')
})

test('a name of no model and a name of several are nobody', () => {
  expect(modelOf({ endpoint: 'nobody' })).toBe('nobody')
  expect(modelOf({ endpoint: 'a-b' })).toBe('a-b')
})

test('a variant name is one that AWS accepts, and names its model', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (model) => {
      const name = variantName(model)
      expect(name).toMatch(/^([a-zA-Z0-9](-*[a-zA-Z0-9])*)?$/)
      expect(name.length).toBeLessThanOrEqual(63)
      if (name !== '' && name !== 'AllTraffic') expect(modelOfTarget({ ...NOTHING, endpoint: name }, [model])).toBe(model)
    }),
    { seed: 20261201, numRuns: 500 },
  )
})
