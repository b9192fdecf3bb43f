/** Provisioned throughput that never changes, for the fixtures of the wire. */
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
