/** A report as one SVG of charts, and as one HTML page that holds everything and asks for nothing. */
import type { BenchReport, LevelReport } from './bench-report.ts'
import type { Distribution } from './distribution.ts'
import { FORMULAS } from './formulas.ts'
import { escapeMarkup, type LineChart, lineChart } from './line-chart.ts'
import { loadName } from './load.ts'
import { headline, latencyTable, notes, rateTable, type Table, wordColumns } from './report-text.ts'

const COLUMNS = 2
const CHART = { width: 480, height: 300 }
const HEAD_HEIGHT = 52
/** Curves of more levels than this are not told apart any more: the first, the last and those evenly between are drawn. */
const MAX_CURVES = 6

const STYLE =
  'text{font:11px system-ui,sans-serif;fill:currentColor}.title{font-weight:600;font-size:13px}.mark{opacity:.8}.label{opacity:.65}' +
  '.grid{stroke:currentColor;opacity:.14}.axis{stroke:currentColor;opacity:.5;fill:none}'

/** A document of its own: text is black on white there. */
export function reportSvg(report: BenchReport): string {
  const { inside, width, height } = drawing(report)
  const [first = '', ...rest] = headline(report).split('\n')
  const head = `<text x="14" y="20" class="title">${escapeMarkup(first)}</text><text x="14" y="38" class="label">${escapeMarkup(rest.join('; '))}</text>`
  const size = `width="${width}" height="${height + HEAD_HEIGHT}" viewBox="0 0 ${width} ${height + HEAD_HEIGHT}"`
  const body = `<rect width="100%" height="100%" fill="#fff"/>${head}<g transform="translate(0 ${HEAD_HEIGHT})">${inside}</g>`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} color="#1a1a1a"><style>${STYLE}</style>${body}</svg>\n`
}

export function reportPage(report: BenchReport): string {
  const { inside, width, height } = drawing(report)
  const [first = '', ...rest] = headline(report).split('\n')
  const title = `inferd bench: ${report.model}`
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="charts" viewBox="0 0 ${width} ${height}"><style>${STYLE}</style>${inside}</svg>`
  const remarks = notes(report).map((note) => `<p>${escapeMarkup(note).replaceAll('\n', '<br>')}</p>`)
  const formulas = FORMULAS.map(({ name, words }) => `<dt>${escapeMarkup(name)}</dt><dd>${escapeMarkup(words)}</dd>`)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeMarkup(title)}</title>
<style>
:root{color-scheme:light dark}
body{font:14px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}
.table{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)}
.word{text-align:left}
svg{width:100%;height:auto}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{font-weight:600}dd{margin:0}
.partial{color:#c2410c;font-weight:600}
</style>
</head>
<body>
<h1>${escapeMarkup(first)}</h1>
${rest.map((line) => `<p${line.startsWith('PARTIAL') ? ' class="partial"' : ''}>${escapeMarkup(line)}</p>`).join('\n')}
<h2>Throughput</h2>
${tableHtml(rateTable(report))}
<h2>Latency, milliseconds</h2>
${tableHtml(latencyTable(report))}
${remarks.join('\n')}
<h2>Charts</h2>
${svg}
<h2>What the figures mean</h2>
<dl>${formulas.join('')}</dl>
</body>
</html>
`
}

function drawing(report: BenchReport): { readonly inside: string; readonly width: number; readonly height: number } {
  const charts = chartsOf(report)
  const inside = charts.map((chart, index) =>
    lineChart(chart, { x: (index % COLUMNS) * CHART.width, y: Math.floor(index / COLUMNS) * CHART.height, ...CHART }),
  )
  return { inside: inside.join(''), width: COLUMNS * CHART.width, height: Math.ceil(charts.length / COLUMNS) * CHART.height }
}

/** By load only where there is more than one of a kind. */
function chartsOf(report: BenchReport): LineChart[] {
  const { levels, isStreamed } = report
  const kinds = (['closed', 'open'] as const).map((kind) => levels.filter(({ load }) => load.kind === kind)).filter((group) => group.length > 1)
  const measures = isStreamed ? LATENCIES : LATENCIES.filter(({ name }) => name === 'E2E')
  return [
    ...kinds.flatMap((group) => measures.map((measure) => latencyByLoad(measure, group))),
    ...kinds.flatMap((group) => [tokensByLoad(group), requestsByLoad(group)]),
    ...measures.map((measure) => cumulative(measure, levels)),
  ]
}

interface Latency {
  readonly name: string
  readonly words: string
  readonly pick: (level: LevelReport) => Distribution | null
}

const LATENCIES: readonly Latency[] = [
  { name: 'TTFT', words: 'Time to first token', pick: (level) => level.ttftMs },
  { name: 'TPOT', words: 'Time per output token', pick: (level) => level.tpotMs },
  { name: 'ITL', words: 'Gaps between pieces', pick: (level) => level.itlMs },
  { name: 'E2E', words: 'Whole answer', pick: (level) => level.e2eMs },
]
const BY_LOAD = { xScale: 'linear', yScale: 'linear' } as const

function byLoad(levels: readonly LevelReport[]): Pick<LineChart, 'xLabel' | 'xNames'> {
  const names = levels.map(({ load }) => (load.kind === 'closed' ? String(load.concurrency) : loadName(load)))
  return { xLabel: levels[0]?.load.kind === 'closed' ? 'requests at a time' : 'requests that come a second', xNames: names }
}

function points(levels: readonly LevelReport[], pick: (level: LevelReport) => number | null): (readonly [number, number])[] {
  return levels.flatMap((level, place) => {
    const value = pick(level)
    return value === null ? [] : [[place, value] as const]
  })
}

function latencyByLoad({ name, words, pick }: Latency, levels: readonly LevelReport[]): LineChart {
  const series = (['p50', 'p90', 'p95', 'p99'] as const).map((quantile) => ({
    name: quantile,
    points: points(levels, (level) => pick(level)?.[quantile] ?? null),
  }))
  return { title: `${words} (${name}) by load`, yLabel: 'ms', ...byLoad(levels), ...BY_LOAD, series }
}

function tokensByLoad(levels: readonly LevelReport[]): LineChart {
  const series = [
    { name: 'output', points: points(levels, (level) => level.outputTokensPerS) },
    { name: 'prompt and output', points: points(levels, (level) => level.totalTokensPerS) },
  ]
  return { title: 'Tokens by load', yLabel: 'tokens/s', ...byLoad(levels), ...BY_LOAD, series }
}

function requestsByLoad(levels: readonly LevelReport[]): LineChart {
  const series = [
    { name: 'answered', points: points(levels, (level) => level.requestsPerS) },
    { name: 'good (SLO)', points: points(levels, (level) => level.goodputPerS) },
  ]
  return { title: 'Requests by load', yLabel: 'requests/s', ...byLoad(levels), ...BY_LOAD, series }
}

function cumulative({ name, words, pick }: Latency, levels: readonly LevelReport[]): LineChart {
  const measured = levels.filter((level) => pick(level) !== null)
  const series = spread(measured, MAX_CURVES).map((level) => ({
    name: loadName(level.load),
    points: (pick(level)?.percentiles ?? []).map((value, p) => [value, p] as const),
  }))
  return {
    title: `${words} (${name}), cumulative`,
    xLabel: 'ms',
    yLabel: '%',
    xScale: 'log',
    yScale: 'linear',
    xNames: null,
    series,
  }
}

/** At most `count` of the items, the first and the last among them, evenly. */
function spread<T>(items: readonly T[], count: number): readonly T[] {
  if (items.length <= count) return items
  return Array.from({ length: count }, (_, index) => items[Math.round((index * (items.length - 1)) / (count - 1))]!)
}

function tableHtml(table: Table): string {
  const [heads = [], ...rows] = table
  const classes = wordColumns(table).map((isText) => (isText ? ' class="word"' : ''))
  const cells = (row: readonly string[], tag: string): string =>
    row.map((cell, column) => `<${tag}${classes[column]}>${escapeMarkup(cell)}</${tag}>`).join('')
  return `<div class="table"><table><tr>${cells(heads, 'th')}</tr>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('')}</table></div>`
}
