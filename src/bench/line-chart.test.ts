import fc from 'fast-check'
import { expect, test } from 'vitest'
import { axisOf, escapeMarkup, lineChart, type LineChart } from './line-chart.ts'

const BOX = { x: 0, y: 0, width: 484, height: 296 }
const CHART: LineChart = {
  title: 'Latency',
  xLabel: 'load',
  yLabel: 'ms',
  xScale: 'linear',
  yScale: 'linear',
  xNames: null,
  series: [
    {
      name: 'p50',
      points: [
        [0, 0],
        [10, 100],
      ],
    },
  ],
}

test('axes have round marks that hold all values', () => {
  expect(axisOf([0, 97], 'linear')).toEqual({ scale: 'linear', min: 0, max: 100, marks: [0, 20, 40, 60, 80, 100] })
  expect(axisOf([0, 0.31], 'linear')).toMatchObject({ max: 0.4, marks: [0, 0.1, 0.2, 0.3, 0.4] })
  expect(axisOf([3, 70], 'log')).toEqual({ scale: 'log', min: 1, max: 100, marks: [1, 2, 5, 10, 20, 50, 100] })
  expect(axisOf([0, 0.02, 9000], 'log')).toMatchObject({ min: 0.01, max: 10_000, marks: [0.01, 0.1, 1, 10, 100, 1000, 10_000] })
  expect(axisOf([5], 'linear').max).toBeGreaterThan(axisOf([5], 'linear').min)
  expect(axisOf([0], 'log')).toMatchObject({ min: 1, max: 10 })
})

test('every axis holds its values between at most a dozen rising marks', () => {
  const values = fc.array(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(values, fc.constantFrom('linear' as const, 'log' as const), (list, scale) => {
      const { min, max, marks } = axisOf(list, scale)
      expect(min).toBeLessThanOrEqual(Math.min(...list) * (1 + 1e-6))
      expect(max).toBeGreaterThanOrEqual(Math.max(...list) * (1 - 1e-6))
      expect(marks.length).toBeLessThanOrEqual(18)
      expect(marks).toEqual([...new Set(marks)].toSorted((a, b) => a - b))
    }),
    { seed: 3, numRuns: 300 },
  )
})

test('a line goes from corner to corner of the plot', () => {
  const svg = lineChart(CHART, BOX)
  // The margins are 62, 22, 30 and 66: the plot is 400 x 200 from (62, 30).
  expect(svg).toContain('<path d="M62 230L462 30" fill="none" stroke="#0072b2"')
  expect(svg).toContain('<circle cx="462" cy="30"')
  expect(svg).toContain('>Latency, ms</text>')
})

test('named places lie side by side, and a logarithmic axis evenly by factors', () => {
  const places = lineChart(
    {
      ...CHART,
      xNames: ['1', '4'],
      series: [
        {
          name: 'a',
          points: [
            [0, 50],
            [1, 100],
          ],
        },
      ],
    },
    BOX,
  )
  expect(places).toContain('<path d="M162 130L362 30"')
  const log = lineChart(
    {
      ...CHART,
      xScale: 'log',
      series: [
        {
          name: 'a',
          points: [
            [0, 0],
            [10, 50],
            [100, 100],
          ],
        },
      ],
    },
    BOX,
  )
  expect(log).toContain('<path d="M62 230L62 130L462 30"')
})

test('without points it says so', () => {
  expect(lineChart({ ...CHART, series: [{ name: 'p50', points: [] }] }, BOX)).toContain('nothing was measured')
})

test('names of strangers are text and never markup', () => {
  expect(escapeMarkup('<script>&"\u0000\u001b')).toBe('&lt;script&gt;&amp;&quot;')
  const svg = lineChart({ ...CHART, title: '</text><script>', series: [{ name: '"><img>', points: [[0, 1]] }] }, BOX)
  expect(svg).not.toMatch(/<script|<img/)
})
