import { expect, test } from 'vitest'
import type { EndpointDocument } from './endpoint-document.ts'
import { encodeEndpoint } from './endpoint-view.ts'
import type { Fleet } from './fleet.ts'

test('an endpoint whose creation failed shows the configuration that it was created with', () => {
  const document: EndpointDocument = {
    isWanted: true,
    serving: null,
    next: null,
    rollout: null,
    lastPlan: null,
    lastGeneration: 1,
    problem: { code: 'insufficient_memory', message: 'no room', param: null, retryAfterMs: null },
    firstConfig: 'c1',
  }
  const shown = encodeEndpoint({ name: 'e', document, revision: 1, createdMs: 0, modifiedMs: 0 }, {} as Fleet)
  expect(shown).toMatchObject({ status: 'Failed', config: 'c1', variants: [] })
})
