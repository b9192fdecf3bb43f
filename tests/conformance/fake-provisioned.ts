/** Provisioned throughput and a plan that never change, for the fixtures of the wire. */
import type { ModeCost, ModePlan } from '#contract/mode-plan'
import type { ProvisionedDesk, ProvisionedThroughput } from '#contract/provisioned'

const MADE_MS = 1_700_000_000_000

const ONE: ProvisionedThroughput = {
  id: 'abcdefghijkl',
  name: 'mine',
  team: 'local',
  model: 'tiny',
  units: 2,
  commitment: 'one-month',
  commitmentEndsMs: MADE_MS + 30 * 86_400_000,
  keyId: 'local',
  createdMs: MADE_MS,
  modifiedMs: MADE_MS,
  tags: { cost: 'blue' },
}

export const fixedProvisioned: ProvisionedDesk = {
  models: [],
  create: async () => ONE,
  get: async () => ONE,
  list: async () => [ONE, ONE],
  rename: async () => ONE,
  tag: async () => ONE,
  remove: async () => {},
}

const BOUGHT: ModeCost = {
  mode: 'provisioned',
  commitment: 'one-month',
  usdPerMonth: 146.123456789,
  missing: null,
  units: 2,
  utilisation: 0.5,
  spilledShare: 0,
}

export const FIXED_PLAN: ModePlan = {
  model: 'tiny',
  traffic: {
    fromMs: MADE_MS,
    toMs: MADE_MS + 86_400_000,
    numRequests: 3,
    inputTokens: 21,
    outputTokens: 12,
    billedMs: 1234.4,
    peakInputPerMinute: 14,
    peakOutputPerMinute: 8,
    patientShare: 1 / 3,
  },
  modes: [BOUGHT, { ...BOUGHT, mode: 'serverless', commitment: 'none', usdPerMonth: null, missing: 'prices.tiny.perHour', units: null }],
  cheapest: BOUGHT,
  breakEvens: [{ cheaperBelow: 'on-demand', cheaperAbove: 'provisioned', measure: 'tokens-per-month', at: 1e6 / 3, measured: 1000 }],
  doubts: ['only 3 requests were measured'],
}
