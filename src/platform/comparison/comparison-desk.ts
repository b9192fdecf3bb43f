/** Which units of an endpoint are compared with which, from what the ledger has of them. */
import type { Clock } from '#base/clock'
import type { ComparedUnit, Comparison, ComparisonDesk, ComparisonQuery } from '#contract/comparison'
import type { DeploymentDesk, Endpoint } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import { countUnits, type SampleRange, selectSamples, type UnitCounts } from '#platform/store/usage-samples'
import type { Store } from '#platform/store/open-store'
import { COMPARED_METRICS, compareUnits, type UnitCalls } from './compare-units.ts'

export interface ComparisonDeskParts {
  readonly store: Pick<Store, 'db'>
  readonly deployments: Pick<DeploymentDesk, 'findEndpoint'>
  /** Brings what is settled to the store. */
  readonly flush: () => Promise<void>
  readonly clock: Clock
}

interface SeenUnit extends UnitCounts {
  readonly name: string
  readonly variant: string
  readonly generation: number
}

const DAY_MS = 86_400_000
const MAX_DAYS = 31
const CONFIDENCE = 0.95
const MAX_UNITS = 100
/** Times of so many calls of a unit are looked at, the newest: more would say no more. */
const MAX_SAMPLES = 20_000

export function comparisonDesk({ store, deployments, flush, clock }: ComparisonDeskParts): ComparisonDesk {
  return {
    compare: async (query) => {
      const endpoint = await deployments.findEndpoint(query.endpoint)
      if (endpoint === null) throw new InferdError('resource_not_found', `there is no endpoint '${query.endpoint}'`)
      const range = rangeOf(query, clock.wallMs())
      await flush()
      const seen = (await countUnits(store.db, query.endpoint, range, MAX_UNITS)).flatMap((counts) => unitOf(query.endpoint, counts))
      const { baseline, candidates } = choose(seen, endpoint, query)
      const callsOf = async (unit: SeenUnit): Promise<UnitCalls> => {
        const samples = await selectSamples(store.db, { endpoint: query.endpoint, unit: unit.unit }, range, MAX_SAMPLES)
        return { numCalls: unit.numCalls, numErrors: unit.numErrors, samples }
      }
      const before = await callsOf(baseline)
      const numVerdicts = candidates.length * COMPARED_METRICS.length
      const comparisons: Comparison['comparisons'][number][] = []
      for (const candidate of candidates) {
        const after = await callsOf(candidate)
        const metrics = compareUnits(before, after, 1 - (1 - CONFIDENCE) / numVerdicts)
        comparisons.push({ candidate: shown(candidate, after), metrics })
      }
      return { endpoint: query.endpoint, ...range, baseline: shown(baseline, before), comparisons, confidence: CONFIDENCE, numVerdicts }
    },
  }
}

function rangeOf({ fromMs, toMs }: ComparisonQuery, nowMs: number): SampleRange {
  const end = toMs ?? nowMs + 1
  const start = fromMs ?? end - DAY_MS
  if (end - start > MAX_DAYS * DAY_MS) throw new InferdError('invalid_parameter', `at most ${MAX_DAYS} days are looked at`, { param: 'from' })
  return { fromMs: start, toMs: end }
}

/** [] = a name that no unit has. */
function unitOf(endpoint: string, counts: UnitCounts): readonly SeenUnit[] {
  const name = counts.unit.slice(endpoint.length + 1)
  const [, variant, generation] = /^(.+)@(\d+)$/.exec(name) ?? []
  return variant === undefined ? [] : [{ ...counts, name, variant, generation: Number(generation) }]
}

/**
 * The newest generation among itself, against its heaviest variant; where it has one variant, against the generation before it: that is what a
 * rollout is about.
 */
function choose(
  seen: readonly SeenUnit[],
  endpoint: Endpoint,
  { baseline: wanted }: ComparisonQuery,
): { readonly baseline: SeenUnit; readonly candidates: readonly SeenUnit[] } {
  const newest = Math.max(...seen.map(({ generation }) => generation))
  const current = seen.filter(({ generation }) => generation === newest)
  const before = Math.max(...seen.map(({ generation }) => generation).filter((generation) => generation < newest))
  const subjects = current.length > 1 ? current : seen.filter(({ generation }) => generation === newest || generation === before)
  const baseline = wanted === null ? defaultBaseline(subjects, endpoint, newest) : named(seen, wanted)
  if (wanted !== null && baseline === undefined)
    throw new InferdError('invalid_parameter', `'${wanted}' had no calls in that time; there were ${namesOf(seen)}`, { param: 'baseline' })
  const candidates = subjects.filter((unit) => unit !== baseline)
  if (baseline === undefined || candidates.length === 0)
    throw new InferdError('invalid_parameter', `there is nothing to compare: calls in that time went to ${namesOf(seen)}`, { param: 'endpoint' })
  return { baseline, candidates }
}

function defaultBaseline(subjects: readonly SeenUnit[], { variants }: Endpoint, newest: number): SeenUnit | undefined {
  const older = subjects.find(({ generation }) => generation < newest)
  if (older !== undefined) return older
  const weightOf = ({ variant }: SeenUnit): number => variants.find(({ name, isShadow }) => name === variant && !isShadow)?.currentWeight ?? 0
  return subjects.filter(({ isShadow }) => !isShadow).toSorted((a, b) => weightOf(b) - weightOf(a) || b.numCalls - a.numCalls)[0]
}

/** By variant the newest of its generations. */
function named(seen: readonly SeenUnit[], wanted: string): SeenUnit | undefined {
  return (
    seen.find(({ name }) => name === wanted) ?? seen.filter(({ variant }) => variant === wanted).toSorted((a, b) => b.generation - a.generation)[0]
  )
}

function namesOf(seen: readonly SeenUnit[]): string {
  return seen.length === 0 ? 'no variant' : seen.map(({ name }) => name).join(', ')
}

function shown({ name, isShadow, numCalls, numErrors }: SeenUnit, { samples }: UnitCalls): ComparedUnit {
  return { name, isShadow, numCalls, numErrors, numSampled: samples.length }
}
