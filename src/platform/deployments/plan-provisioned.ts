/** From the provisioned throughput of a document and what the team has to what must change. Pure. */
import type { DeclaredChange, DeclaredThroughput } from '#contract/declaration'
import type { ProvisionedThroughput } from '#contract/provisioned'

export interface ThroughputChange extends DeclaredChange {
  readonly kind: 'throughput'
  /** null = it goes. */
  readonly declared: DeclaredThroughput | null
}

/** The tag of what a document made. */
export const DECLARED_TAG = 'inferd:declared'

/** What goes is first: its units may be wanted by what comes. What is committed to stays as it is until then. */
export function planThroughput(
  declared: readonly DeclaredThroughput[],
  present: readonly ProvisionedThroughput[],
  { prune, nowMs }: { readonly prune: boolean; readonly nowMs: number },
): readonly ThroughputChange[] {
  const leaving = prune ? present.filter(({ name, tags }) => DECLARED_TAG in tags && declared.every((one) => one.name !== name)) : []
  return [
    ...leaving.map((one) => leave(one, nowMs)),
    ...declared.map((one): ThroughputChange => {
      const before = present.find(({ name }) => name === one.name)
      const change = { kind: 'throughput', name: one.name, declared: one } as const
      if (before === undefined) return { ...change, action: 'create', details: [] }
      const details = differences(before, one)
      if (details.length === 0) return { ...change, action: 'keep', details }
      const bound = boundUntil(before, nowMs)
      return bound === null ? { ...change, action: 'replace', details } : { ...change, action: 'later', details: [...details, bound] }
    }),
  ]
}

function leave(one: ProvisionedThroughput, nowMs: number): ThroughputChange {
  const bound = boundUntil(one, nowMs)
  const change = { kind: 'throughput', name: one.name, declared: null } as const
  return bound === null ? { ...change, action: 'delete', details: [] } : { ...change, action: 'later', details: [bound] }
}

function differences(before: ProvisionedThroughput, after: DeclaredThroughput): readonly string[] {
  return (['model', 'units', 'commitment'] as const).flatMap((key) => (before[key] === after[key] ? [] : [`${key}: ${before[key]} -> ${after[key]}`]))
}

function boundUntil({ commitmentEndsMs }: ProvisionedThroughput, nowMs: number): string | null {
  return commitmentEndsMs === null || commitmentEndsMs <= nowMs ? null : `committed to until ${new Date(commitmentEndsMs).toISOString()}`
}
