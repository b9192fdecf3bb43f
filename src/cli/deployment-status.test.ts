import { expect, test } from 'vitest'
import type { Endpoint, EndpointVariant } from '#contract/deployment'
import { changesText, progressText } from './change-text.ts'
import { machineText, statusTable } from './deployment-status.ts'

const VARIANT: EndpointVariant = {
  name: 'main',
  model: 'chat-1',
  unit: 'e/main@1',
  currentWeight: 9,
  desiredWeight: 9,
  currentReplicas: 1,
  desiredReplicas: 2,
  isShadow: false,
  serverless: null,
}
const PLAN = { kind: 'canary', stepPercent: 10, waitMs: 0, bakeMs: 0, maxDurationMs: 1, alarms: [] } as const
const ENDPOINT: Endpoint = {
  name: 'e',
  config: 'e-1',
  status: 'Updating',
  problem: { code: 'model_not_found', message: 'no \u001b[2Jmodel', param: null, retryAfterMs: null },
  variants: [
    VARIANT,
    { ...VARIANT, name: 'probe', isShadow: true, currentWeight: 5, desiredReplicas: 1 },
    { ...VARIANT, name: 'night', currentReplicas: 0, serverless: { maxConcurrency: 1, provisionedConcurrency: 0, idleTimeoutMs: 1 } },
  ],
  rollout: { fromConfig: 'e-1', toConfig: 'e-2', plan: PLAN, percent: 10, phase: 'shifting', startedMs: 0 },
  lastPlan: null,
  createdMs: 0,
  modifiedMs: 0,
}

test('an endpoint is a row a variant, with what is on its way; columns that say nothing are left out', () => {
  expect(statusTable({ endpoints: [ENDPOINT], scaling: [] })).toBe(
    'ENDPOINT  STATUS    VARIANT  MODEL   WEIGHT     REPLICAS  NOTE\n' +
      'e         Updating  main     chat-1  9          1/2       shifting 10% to e-2; no ?[2Jmodel\n' +
      '                    probe    chat-1  shadow 5%  1/1\n' +
      '                    night    chat-1  9          asleep\n',
  )
  expect(statusTable({ endpoints: [], scaling: [] })).toBe('no endpoints\n')
  expect(progressText(ENDPOINT)).toBe('e: Updating, shifting 10%; main 1/2, probe 1/1 replicas\n')
})

test('the machine is told from its metrics, with a budget and without one', () => {
  const page = [
    'inferd_model_memory_used_bytes 1073741824',
    'inferd_model_memory_budget_bytes 4294967296',
    'inferd_models{state="ready"} 2',
    'inferd_models{state="cold"} 1',
    'inferd_models{state="failed"} 0',
    'inferd_queue_requests{model="a"} 2',
    'inferd_queue_requests{model="b c"} 1',
    'inferd_queue_requests_total 99',
    'inferd_async_backlog{endpoint="e"} 7',
  ].join('\n')
  expect(machineText(page)).toBe('models: 2 ready, 1 cold; memory: 1.0 GiB of 4.0 GiB; waiting: 3 calls, 7 asynchronous\n')
  expect(machineText(page.replace('4294967296', '+Inf'))).toContain('memory: 1.0 GiB; ')
})

test('changes are lines with a sign, what differs under them, and without colours where there is no terminal', () => {
  expect(
    changesText([
      { action: 'keep', kind: 'model', name: 'm', details: [] },
      { action: 'update', kind: 'endpoint', name: 'e', details: ['main.weight: 1 -> 2'] },
    ]),
  ).toBe('~ update  endpoint e\n            main.weight: 1 -> 2\n')
  expect(changesText([])).toBe('nothing to change\n')
})
