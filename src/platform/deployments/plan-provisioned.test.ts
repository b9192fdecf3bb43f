import { expect, test } from 'vitest'
import type { DeclaredThroughput } from '#contract/declaration'
import type { ProvisionedThroughput } from '#contract/provisioned'
import { DECLARED_TAG, planThroughput } from './plan-provisioned.ts'

const DECLARED: DeclaredThroughput = { name: 'mine', model: 'chat', units: 2, commitment: 'none' }
const PRESENT: ProvisionedThroughput = {
  ...DECLARED,
  id: 'abc',
  team: 'red',
  commitmentEndsMs: null,
  keyId: 'k',
  createdMs: 0,
  modifiedMs: 0,
  tags: { [DECLARED_TAG]: 'true' },
}
const COMMITTED = { ...PRESENT, commitment: 'one-month', commitmentEndsMs: 5000 } as const

test.each<[string, readonly DeclaredThroughput[], readonly ProvisionedThroughput[], boolean, readonly string[]]>([
  ['creates what is not there', [DECLARED], [], false, ['create mine']],
  ['keeps what is as it is to be', [DECLARED], [PRESENT], true, ['keep mine']],
  ['replaces what differs', [{ ...DECLARED, units: 3 }], [PRESENT], false, ['replace mine units: 2 -> 3']],
  [
    'leaves what is committed to',
    [{ ...DECLARED, units: 3, commitment: 'one-month' }],
    [COMMITTED],
    false,
    ['later mine units: 2 -> 3, committed to until 1970-01-01T00:00:05.000Z'],
  ],
  ['deletes what earlier documents made, when asked', [], [PRESENT], true, ['delete mine']],
  ['deletes nothing when not asked', [], [PRESENT], false, []],
  ['deletes nothing that no document made', [], [{ ...PRESENT, tags: {} }], true, []],
  ['cannot delete what is committed to', [], [COMMITTED], true, ['later mine committed to until 1970-01-01T00:00:05.000Z']],
  ['frees units before it takes some', [{ ...DECLARED, name: 'new' }], [PRESENT], true, ['delete mine', 'create new']],
])('a document %s', (_, declared, present, prune, words) => {
  const changes = planThroughput(declared, present, { prune, nowMs: 1000 })
  expect(changes.map(({ action, name, details }) => [action, name, details.join(', ')].join(' ').trimEnd())).toEqual(words)
})
