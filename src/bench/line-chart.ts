/** A line chart as the inside of an SVG document: axes with round marks, one line a series, a legend. */

export interface Series {
  readonly name: string
  /** x, y; in order of x. */
  readonly points: readonly (readonly [number, number])[]
}

/** `log` is of base 10; values of zero or less lie at its lower end. */
export type AxisScale = 'linear' | 'log'

export interface LineChart {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly xScale: AxisScale
  readonly yScale: AxisScale
  /** Marks at the places 0, 1, 2 ... in place of numbers; null = numbers. */
  readonly xNames: readonly string[] | null
  readonly series: readonly Series[]
}

export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Distinguishable for most eyes, on white and on black (Okabe and Ito, the darker ones). */
const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7f7f7f', '#a65628']
const MARGIN = { left: 62, right: 22, top: 30, bottom: 66 }
const MAX_MARKS = 6
/** Longer curves have none. */
const MAX_DOTS = 32
const LEGEND_ROW = 14
const CHARACTER = 6.2

interface Axis {
  readonly scale: AxisScale
  readonly min: number
  readonly max: number
  readonly marks: readonly number[]
}

/** Series without points are left out of it; without any it says so. */
export function lineChart(chart: LineChart, box: Box): string {
  const series = chart.series.filter(({ points }) => points.length > 0)
  const plot = {
    x: box.x + MARGIN.left,
    y: box.y + MARGIN.top,
    width: box.width - MARGIN.left - MARGIN.right,
    height: box.height - MARGIN.top - MARGIN.bottom,
  }
  const head = text(box.x + MARGIN.left, box.y + 16, `${chart.title}, ${chart.yLabel}`, 'class="title"')
  if (series.length === 0) return `<g>${head}${text(plot.x, plot.y + 20, 'nothing was measured', 'class="mark"')}</g>`
  const xs = series.flatMap(({ points }) => points.map(([x]) => x))
  const ys = series.flatMap(({ points }) => points.map(([, y]) => y))
  const xAxis = chart.xNames === null ? axisOf(xs, chart.xScale) : placeAxis(chart.xNames.length)
  const yAxis = axisOf(chart.yScale === 'linear' ? [0, ...ys] : ys, chart.yScale)
  const atX = (x: number): number => plot.x + shareOf(x, xAxis) * plot.width
  const atY = (y: number): number => plot.y + (1 - shareOf(y, yAxis)) * plot.height
  const lines = series.map(({ points }, index) =>
    seriesShape(
      points.map(([x, y]) => [atX(x), atY(y)] as const),
      COLORS[index % COLORS.length]!,
    ),
  )
  const legend = legendShape(
    series.map(({ name }) => name),
    plot.x,
    plot.y + plot.height + 46,
    plot.width,
  )
  return `<g>${head}${frame(chart, plot, { xAxis, yAxis, atX, atY })}${lines.join('')}${legend}</g>`
}

/** Round numbers that hold all values; a single value is given room. */
export function axisOf(values: readonly number[], scale: AxisScale): Axis {
  return scale === 'log' ? logAxis(values.filter((value) => value > 0)) : linearAxis(Math.min(...values), Math.max(...values))
}

function linearAxis(least: number, most: number): Axis {
  const span = most > least ? most - least : Math.max(Math.abs(most), 1)
  const step = roundStep(span / (MAX_MARKS - 1))
  const min = Math.floor(least / step) * step
  const max = Math.max(Math.ceil(most / step) * step, min + step)
  const marks = Array.from({ length: Math.round((max - min) / step) + 1 }, (_, index) => Number((min + index * step).toPrecision(12)))
  return { scale: 'linear', min, max, marks }
}

/** 1, 2 or 5 times a power of ten, not less than `wanted`. */
function roundStep(wanted: number): number {
  const power = 10 ** Math.floor(Math.log10(wanted))
  return ([1, 2, 5].find((factor) => factor * power >= wanted * (1 - 1e-9)) ?? 10) * power
}

/** Whole decades; marks at 1, 2 and 5 of each where they are few. */
function logAxis(values: readonly number[]): Axis {
  const [least, most] = values.length === 0 ? [1, 10] : [Math.min(...values), Math.max(...values)]
  const from = Math.floor(Math.log10(least) + 1e-9)
  const to = Math.max(Math.ceil(Math.log10(most) - 1e-9), from + 1)
  const factors = to - from <= 2 ? [1, 2, 5] : [1]
  const marks = Array.from({ length: to - from + 1 }, (_, index) =>
    factors.map((factor) => Number((factor * 10 ** (from + index)).toPrecision(12))),
  ).flat()
  return { scale: 'log', min: 10 ** from, max: 10 ** to, marks: marks.filter((mark) => mark <= 10 ** to * 1.001) }
}

function placeAxis(numPlaces: number): Axis {
  return { scale: 'linear', min: -0.5, max: numPlaces - 0.5, marks: Array.from({ length: numPlaces }, (_, place) => place) }
}

function shareOf(value: number, { scale, min, max }: Axis): number {
  if (scale === 'linear') return (value - min) / (max - min)
  return value <= min ? 0 : Math.log(value / min) / Math.log(max / min)
}

interface Axes {
  readonly xAxis: Axis
  readonly yAxis: Axis
  readonly atX: (x: number) => number
  readonly atY: (y: number) => number
}

function frame({ xLabel, xNames }: LineChart, plot: Box, { xAxis, yAxis, atX, atY }: Axes): string {
  const [right, bottom] = [plot.x + plot.width, plot.y + plot.height]
  const across = yAxis.marks.map((mark) => {
    const y = atY(mark)
    return horizontal(plot.x, right, y, 'class="grid"') + text(plot.x - 6, y + 4, markText(mark), 'class="mark" text-anchor="end"')
  })
  const down = xAxis.marks.map((mark) =>
    text(atX(mark), bottom + 16, xNames === null ? markText(mark) : (xNames[mark] ?? ''), 'class="mark" text-anchor="middle"'),
  )
  const border = `<path class="axis" d="M${round(plot.x)} ${round(plot.y)}V${round(bottom)}H${round(right)}"/>`
  const label = text(plot.x + plot.width / 2, bottom + 31, xLabel, 'class="label" text-anchor="middle"')
  return [...across, ...down, border, label].join('')
}

function seriesShape(points: readonly (readonly [number, number])[], color: string): string {
  const path = points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`).join('')
  const dots = points.length > MAX_DOTS ? [] : points.map(([x, y]) => `<circle cx="${round(x)}" cy="${round(y)}" r="2.6" fill="${color}"/>`)
  return `<path d="${path}" fill="none" stroke="${color}" stroke-width="1.8"/>${dots.join('')}`
}

/** In rows as wide as the plot; what would need a third row is left out. */
function legendShape(names: readonly string[], left: number, top: number, width: number): string {
  let [x, row] = [0, 0]
  return names
    .map((name, index) => {
      const needed = 20 + name.length * CHARACTER + 12
      if (x > 0 && x + needed > width) [x, row] = [0, row + 1]
      if (row > 1) return ''
      const [atX, atY] = [left + x, top + row * LEGEND_ROW]
      x += needed
      const stroke = `stroke="${COLORS[index % COLORS.length]!}" stroke-width="2.4"`
      return horizontal(atX, atX + 14, atY - 4, stroke) + text(atX + 19, atY, name, 'class="mark"')
    })
    .join('')
}

function horizontal(fromX: number, toX: number, y: number, attributes: string): string {
  return `<line x1="${round(fromX)}" y1="${round(y)}" x2="${round(toX)}" y2="${round(y)}" ${attributes}/>`
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escapeMarkup(content)}</text>`
}

function markText(value: number): string {
  const magnitude = Math.abs(value)
  if (magnitude >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`
  return magnitude >= 1e4 ? `${Number((value / 1e3).toPrecision(4))}k` : String(Number(value.toPrecision(6)))
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10)
}

/** For text and attributes of HTML and SVG. Characters that XML has not are left out. */
export function escapeMarkup(content: string): string {
  return content
    .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
