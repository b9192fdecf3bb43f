/** A report as a table for the terminal. */
import type { BenchReport, LevelReport } from './bench-report.ts'
import type { Distribution } from './distribution.ts'
import { FORMULAS } from './formulas.ts'
import { loadName } from './load.ts'
import type { Objective } from './objective.ts'
import type { TokenRange } from './prompt-maker.ts'

/** Rows of cells, the first of them the heads. */
export type Table = readonly (readonly string[])[]

/** `isExplained`: with what every figure means. */
export function reportText(report: BenchReport, { isExplained }: { readonly isExplained: boolean }): string {
  const parts = [headline(report), tableText(rateTable(report)), tableText(latencyTable(report)), ...notes(report)]
  if (isExplained) parts.push(FORMULAS.map(({ name, words }) => `${name.padEnd(16)} ${words}`).join('\n'))
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

/** What was measured, in one or two lines. */
export function headline(report: BenchReport): string {
  const { url, model, endpoint, isStreamed, shape, seed, numWarmUps, partialReason, startedAt } = report
  const prefix = shape.prefixTokens === 0 ? '' : `${shape.prefixTokens} shared + `
  const lengths = `${prefix}${rangeText(shape.promptTokens)} prompt and at most ${rangeText(shape.outputTokens)} output tokens`
  const how = `${isStreamed ? 'streamed' : 'whole answers'}, ${numWarmUps} requests of warm-up, seed ${seed}`
  const partial = partialReason === null ? '' : `\nPARTIAL: ${partialReason}`
  return `${model} at ${url} (${endpoint}), ${startedAt}\n${lengths}, ${how}${partial}`
}

export function rateTable({ levels, objective }: BenchReport): Table {
  const good = objective === null ? [] : ['good/s', 'good']
  const heads = ['load', 'answered', 'failed', 'requests/s', 'output tokens/s', 'total tokens/s', 'prompt', 'output', ...good]
  return [heads, ...levels.map((level) => rateRow(level))]
}

function rateRow(level: LevelReport): string[] {
  const { numAnswered, numFailed, requestsPerS, outputTokensPerS, totalTokensPerS, numPromptTokens, numOutputTokens, goodputPerS, goodShare } = level
  const each = (total: number): string => (numAnswered === 0 ? '-' : figure(total / numAnswered))
  return [
    nameOf(level),
    String(numAnswered),
    String(numFailed),
    figure(requestsPerS),
    figure(outputTokensPerS),
    figure(totalTokensPerS),
    each(numPromptTokens),
    each(numOutputTokens),
    ...(goodputPerS === null ? [] : [figure(goodputPerS), goodShare === null ? '-' : `${(goodShare * 100).toFixed(1)} %`]),
  ]
}

export function latencyTable({ levels, isStreamed }: BenchReport): Table {
  const rows = levels.flatMap((level) => {
    const measured: readonly (readonly [string, Distribution | null])[] = [
      ...(isStreamed
        ? ([
            ['TTFT', level.ttftMs],
            ['TPOT', level.tpotMs],
            ['ITL', level.itlMs],
          ] as const)
        : []),
      ['E2E', level.e2eMs],
      ...(level.load.kind === 'open' ? ([['client queue', level.clientQueueMs]] as const) : []),
    ]
    return measured.map(([name, distribution], index) => [index === 0 ? nameOf(level) : '', name, ...cells(distribution)])
  })
  return [['load', 'ms', 'mean', 'p50', 'p90', 'p95', 'p99', 'max'], ...rows]
}

/** What one must know to read the figures; empty where there is nothing. */
export function notes({ levels, objective }: BenchReport): string[] {
  const errors = levels.flatMap((level) =>
    level.errors.map(({ kind, count, words }) => `${loadName(level.load)}: ${count} x ${kind}, the first: ${oneLine(words)}`),
  )
  const cancelled = levels.filter(({ numCancelled }) => numCancelled > 0).map((level) => `${loadName(level.load)}: ${level.numCancelled} taken back`)
  const isCounted = levels.some(({ isUsageTold, numAnswered }) => !isUsageTold && numAnswered > 0)
  return [
    objective === null ? '' : `SLO: ${objectiveText(objective)}`,
    [...errors, ...cancelled].join('\n'),
    isCounted ? 'The server told no usage of some answers: their pieces are counted as tokens, their prompts as none.' : '',
  ].filter((note) => note !== '')
}

function objectiveText({ ttftMs, tpotMs, e2eMs }: Objective): string {
  const limits: readonly (readonly [string, number | null])[] = [
    ['TTFT', ttftMs],
    ['TPOT', tpotMs],
    ['E2E', e2eMs],
  ]
  return limits.flatMap(([name, limit]) => (limit === null ? [] : [`${name} at most ${limit} ms`])).join(', ')
}

/** Four digits at most, but all before the point: `0.1234`, `12.34`, `12345`. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-'
  const whole = Math.abs(value) < 1 ? 0 : Math.floor(Math.log10(Math.abs(value))) + 1
  return String(Number(value.toFixed(Math.max(0, 4 - Math.max(whole, 1)))))
}

function nameOf({ load, isPartial }: LevelReport): string {
  return `${loadName(load)}${isPartial ? ' (partial)' : ''}`
}

function cells(distribution: Distribution | null): string[] {
  if (distribution === null) return Array.from({ length: 6 }, () => '-')
  const { mean, p50, p90, p95, p99, max } = distribution
  return [mean, p50, p90, p95, p99, max].map(figure)
}

/** Which columns hold words, and stand to the left; figures stand to the right. */
export function wordColumns([heads = [], ...rows]: Table): readonly boolean[] {
  return heads.map((_, column) => column === 0 || (rows.length > 0 && rows.every((row) => /^[A-Za-z]/.test(row[column] ?? ''))))
}

function tableText(rows: Table): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const isText = wordColumns(rows)
  const pad = (cell: string, column: number): string =>
    isText[column] === true ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}

function rangeText({ min, max }: TokenRange): string {
  return min === max ? String(min) : `${min} to ${max}`
}

/** A server's words on a terminal: no line breaks, no control characters. */
function oneLine(words: string): string {
  return words.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
}
