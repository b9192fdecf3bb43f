import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { Metrics } from './metrics.ts'

const ROOT = new URL('../../', import.meta.url)
const metrics = new Metrics({ version: '1', maxLabelValues: 4, figures: () => ({ queues: [], ledger: { lagMs: 0, numWaiting: 0 } }) })

interface KnownMetric {
  readonly name: string
  readonly type: string
  readonly labelNames: readonly string[]
}

/** Series by name, with the labels that they have. */
function knownSeries(): ReadonlyMap<string, readonly string[]> {
  const series = new Map<string, readonly string[]>()
  for (const metric of metrics.registry.getMetricsAsArray() as unknown as readonly KnownMetric[]) {
    if (metric.type !== 'histogram') series.set(metric.name, metric.labelNames)
    else for (const suffix of ['_bucket', '_sum', '_count']) series.set(`${metric.name}${suffix}`, [...metric.labelNames, 'le'])
  }
  return series
}

function faultsOf(expression: string): string[] {
  const series = knownSeries()
  const faults: string[] = []
  const names = [...expression.matchAll(/\b((?:inferd|gen_ai|process)_\w+)(?=[{[\s)]|$)/g)].map((match) => match[1]!)
  const labels = new Set([...series.values()].flat())
  for (const name of names) if (!series.has(name) && !labels.has(name)) faults.push(`${name} does not exist`)
  for (const [, name = '', selector = ''] of expression.matchAll(/(\w+)\{([^}]*)\}/g)) {
    for (const [, label = ''] of selector.matchAll(/(\w+)\s*[=!]/g)) {
      if (!(series.get(name) ?? []).includes(label)) faults.push(`${name} has no label ${label}`)
    }
  }
  return faults
}

function read(file: string): string {
  return readFileSync(new URL(file, ROOT), 'utf8')
}

test('the dashboard asks for metrics and labels that exist', () => {
  const dashboard = JSON.parse(read('deploy/grafana/inferd.json')) as {
    readonly panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[]
  }
  const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  expect(expressions.length).toBeGreaterThan(20)
  expect(expressions.flatMap(faultsOf)).toEqual([])
})

test('the alert rules ask for metrics and labels that exist', () => {
  const { groups } = parse(read('deploy/prometheus/alerts.yml')) as {
    readonly groups: readonly { readonly rules: readonly { readonly expr: string }[] }[]
  }
  const expressions = groups.flatMap(({ rules }) => rules.map(({ expr }) => expr))
  expect(expressions.length).toBeGreaterThan(5)
  expect(expressions.flatMap(faultsOf)).toEqual([])
})

test('a name that does not exist is found', () => {
  expect(faultsOf('rate(inferd_costs_usd_total{team="x"}[5m])')).toEqual([
    'inferd_costs_usd_total does not exist',
    'inferd_costs_usd_total has no label team',
  ])
  expect(faultsOf('inferd_cost_usd_total{colour="red"}')).toEqual(['inferd_cost_usd_total has no label colour'])
})

test('the reference page lists every metric', () => {
  const page = read('docs/reference/metrics.md')
  const names = (metrics.registry.getMetricsAsArray() as unknown as readonly KnownMetric[]).map(({ name }) => name)
  expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
})
