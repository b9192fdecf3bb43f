/** `inferd bench`: measures a server and tells it as a table, as JSON, as a page and as charts. */
import { accessSync, constants, writeFileSync } from 'node:fs'
import path from 'node:path'
import { systemClock } from '#base/clock'
import type { BenchReport } from '#bench/bench-report'
import { findModel } from '#bench/find-model'
import { FORMULAS } from '#bench/formulas'
import { loadName } from '#bench/load'
import { measureServer, type BenchProgress } from '#bench/measure-server'
import { reportPage, reportSvg } from '#bench/report-page'
import { reportText } from '#bench/report-text'
import { InferdError } from '#contract/errors'
import { benchArguments, type BenchFlags } from './bench-arguments.ts'
import { ProgressBar } from './progress-bar.ts'

/**
 * Throws InferdError. An interrupt ends the measurement: the report is of what was measured until then, says that it is partial, and the
 * signal's reason is thrown behind it.
 */
export async function bench(flags: object, signal: AbortSignal): Promise<void> {
  const { plan, model, isExplained, json, html, svg } = benchArguments(flags as BenchFlags)
  const files = [json, html, svg].filter((file) => file !== null && file !== '-')
  for (const file of files) checkWritable(file!)
  const target = { ...plan.target, model: model ?? (await findModel(plan.target, systemClock, signal)) }
  const bars = new LevelBars()
  const report = await measureServer({ ...plan, target }, { clock: systemClock, onProgress: (progress) => bars.update(progress) }, signal)
  bars.end()
  if (html !== null) write(html, reportPage(report))
  if (svg !== null) write(svg, reportSvg(report))
  if (json !== null && json !== '-') write(json, reportJson(report))
  process.stdout.write(json === '-' ? reportJson(report) : reportText(report, { isExplained }))
  signal.throwIfAborted()
  if (report.levels.every(({ numAnswered }) => numAnswered === 0)) throw new InferdError('upstream_failed', 'no request was answered')
}

/** A bar for each level, one after the other. */
class LevelBars {
  private bar: ProgressBar | null = null
  private name = ''

  update({ load, numEnded, numRequests }: BenchProgress): void {
    // Without a number of requests there is no fraction to show.
    if (numRequests === null) return
    const name = loadName(load)
    if (this.bar === null || name !== this.name) {
      this.end()
      this.bar = new ProgressBar(name, process.stderr, (total) => `${total} requests`)
      this.name = name
    }
    this.bar.update(numEnded, numRequests)
  }

  end(): void {
    this.bar?.end()
    this.bar = null
  }
}

/** A rate without an end is `"inf"` there, since JSON has no infinity. */
function reportJson(report: BenchReport): string {
  const document = { tool: 'inferd bench', isPartial: report.partialReason !== null, ...report, formulas: FORMULAS }
  return `${JSON.stringify(document, (_, value: unknown) => (value === Infinity ? 'inf' : value), 2)}\n`
}

/** Before the measurement, not behind it. */
function checkWritable(file: string): void {
  try {
    accessSync(path.dirname(path.resolve(file)), constants.W_OK)
  } catch (cause) {
    throw new InferdError('invalid_parameter', `cannot write to the folder of ${file}`, { cause })
  }
}

function write(file: string, content: string): void {
  try {
    writeFileSync(file, content)
  } catch (cause) {
    throw new InferdError('invalid_parameter', `cannot write ${file}: ${(cause as Error).message}`, { cause })
  }
}
