import { expect, test } from 'vitest'
import type { AsyncTerms } from '#contract/deployment'
import type { EndpointTerms } from './async-terms.ts'
import { DeployedTerms } from './deployed-terms.ts'

const FILE: EndpointTerms = {
  outputLocation: 's3://b/file',
  failureLocation: 's3://b/file-failed',
  maxConcurrentInvocations: 4,
  successTopics: ['all'],
  errorTopics: [],
  includeResponseIn: [],
}
const NOTHING: AsyncTerms = { outputUri: null, failureUri: null, maxConcurrent: null, successTopic: null, errorTopic: null, includeResponseIn: null }

function termsWith(terms: Partial<AsyncTerms>, numReplicas = 1): EndpointTerms {
  const deployed = new DeployedTerms()
  deployed.put('chat', { terms: { ...NOTHING, ...terms }, numReplicas })
  const termsOf = deployed.over(() => FILE)
  expect(termsOf('team', 'other')).toBe(FILE)
  return termsOf('team', 'chat')
}

test('what an endpoint says for itself counts before the file, and the rest is as in the file', () => {
  expect(termsWith({})).toEqual(FILE)
  expect(termsWith({ errorTopic: 'hook', includeResponseIn: ['error'] })).toEqual({ ...FILE, errorTopics: ['hook'], includeResponseIn: ['error'] })
})

test('failures lie beside the outputs of an endpoint that says nothing of them', () => {
  expect(termsWith({ outputUri: 's3://b/own/' })).toMatchObject({ outputLocation: 's3://b/own', failureLocation: null })
  expect(termsWith({ failureUri: 's3://b/bad' })).toMatchObject({ outputLocation: 's3://b/file', failureLocation: 's3://b/bad' })
})

test('so many invocations run at a time as its replicas take together, and as one takes while it sleeps', () => {
  expect(termsWith({ maxConcurrent: 3 }, 4).maxConcurrentInvocations).toBe(12)
  expect(termsWith({ maxConcurrent: 3 }, 0).maxConcurrentInvocations).toBe(3)
})

test('an endpoint that is gone says nothing more', () => {
  const deployed = new DeployedTerms()
  deployed.put('chat', { terms: { ...NOTHING, maxConcurrent: 1 }, numReplicas: 1 })
  deployed.put('chat', null)
  expect(deployed.over(() => FILE)('team', 'chat')).toBe(FILE)
})
