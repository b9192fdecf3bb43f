/**
 * Our server under load over HTTP, as `inferd bench` measures any: MODEL [ROUNDS] [options of `inferd bench`]. Every round is a fresh server with the
 * model in the page cache; rounds differ by their seed. Without --concurrency and --rate: 1, 4, 16 at a time, then 0.5 and 0.8 of the requests
 * a second that 16 at a time gave, as an open loop. Prompts are token ids that the made models have, unless --endpoint chat is given.
 * Options of `inferd serve`, such as --threads, go behind `--`. --html and --svg show the last round.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import { systemClock } from '#base/clock'
import type { BenchReport, LevelReport } from '#bench/bench-report'
import { FORMULAS } from '#bench/formulas'
import { type Load, loadName } from '#bench/load'
import { type BenchPlan, measureServer } from '#bench/measure-server'
import type { TokenRange } from '#bench/prompt-maker'
import { reportPage, reportSvg } from '#bench/report-page'
import { reportText } from '#bench/report-text'
import { benchArguments, type BenchFlags } from '#cli/bench-arguments'
import { addBenchOptions } from '#cli/bench-command'
import { InferdProcess } from '../../tests/e2e/inferd-process.ts'
import { emit, recordOf } from '../record.ts'

const CALLERS = [1, 4, 16]
/** Of what the largest closed loop gives. */
const OPEN_SHARES = [0.5, 0.8]
/** Above the bytes and control tokens of the made vocabularies, as the suites against peers have them. */
const PROMPT_IDS = '300-1799'

const separator = process.argv.indexOf('--', 2)
const [ours, serverOptions] = separator < 0 ? [process.argv.slice(2), []] : [process.argv.slice(2, separator), process.argv.slice(separator + 1)]
const command = addBenchOptions(new Command('server').argument('<model>').argument('[rounds]', '', '3'))
command.parse(ours, { from: 'user' })
const [modelPath = '', rounds = '3'] = command.args
const flags = command.opts<BenchFlags>()
if (flags.url !== undefined || flags.key !== undefined || flags.model !== undefined) throw new Error('the suite starts its own server')
const { plan, html, svg } = benchArguments(flags.endpoint === 'chat' ? flags : { promptIds: PROMPT_IDS, ...flags })
const hasOwnLoads = flags.concurrency !== undefined || flags.rate !== undefined
const closedLoads = CALLERS.map((concurrency): Load => ({ kind: 'closed', concurrency }))
let loads = hasOwnLoads ? plan.loads : closedLoads

const reports: BenchReport[] = []
for (let round = 0; round < Number(rounds); round++) {
  const report = await measure({ ...plan, loads, seed: plan.seed + round })
  // Rates are those of the first round, so that all rounds measure the same.
  const last = report.levels.at(-1)!
  const open = hasOwnLoads || round > 0 ? null : await measure({ ...plan, loads: OPEN_SHARES.map((share) => openLoad(last, share)), seed: plan.seed })
  if (open !== null) loads = [...loads, ...open.levels.map(({ load }) => load)]
  reports.push(open === null ? report : { ...report, levels: [...report.levels, ...open.levels] })
  console.error(reportText(reports.at(-1)!, { isExplained: false }))
}
if (html !== null) writeFileSync(html, reportPage(reports.at(-1)!))
if (svg !== null) writeFileSync(svg, reportSvg(reports.at(-1)!))
for (const { name, words } of FORMULAS) console.log(`${name.padEnd(16)} ${words}`)
for (const [index, load] of loads.entries())
  emitLevel(
    load,
    reports.map(({ levels }) => levels[index]!),
  )

function openLoad({ requestsPerS }: LevelReport, share: number): Load {
  return { kind: 'open', ratePerS: Number((requestsPerS * share).toPrecision(3)), process: 'poisson' }
}

async function measure(order: BenchPlan): Promise<BenchReport> {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-server-bench-'))
  try {
    await using server = await InferdProcess.start('--model', `bench=${modelPath}`, '--data-dir', folder, '--log-level', 'error', ...serverOptions)
    await server.ready()
    const target = { ...order.target, url: server.baseUrl, model: 'bench' }
    return await measureServer({ ...order, target }, { clock: systemClock }, new AbortController().signal)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function emitLevel(load: Load, levels: readonly LevelReport[]): void {
  const { promptTokens, outputTokens, prefixTokens } = plan.shape
  const shared = prefixTokens === 0 ? '' : `${prefixTokens} shared + `
  const lengths = `${shared}${rangeText(promptTokens)} + ${rangeText(outputTokens)}`
  const name = `${path.basename(modelPath)}, ${loadName(load)}, ${lengths} tokens`
  const record = (metric: string, unit: string, pick: (level: LevelReport) => number | null | undefined): void => {
    const values = levels.map(pick).filter((value) => value !== null && value !== undefined)
    if (values.length === levels.length) emit(recordOf({ suite: 'server', case: name, metric, unit }, values))
  }
  record('requests', '1/s', (level) => level.requestsPerS)
  record('output tokens', 'tokens/s', (level) => level.outputTokensPerS)
  record('prompt and output tokens', 'tokens/s', (level) => level.totalTokensPerS)
  record('goodput', '1/s', (level) => level.goodputPerS)
  for (const [latency, key] of [
    ['TTFT', 'ttftMs'],
    ['TPOT', 'tpotMs'],
    ['ITL', 'itlMs'],
    ['E2E', 'e2eMs'],
    ['client queue', 'clientQueueMs'],
  ] as const) {
    if (latency === 'client queue' && load.kind === 'closed') continue
    for (const statistic of ['mean', 'p50', 'p90', 'p95', 'p99'] as const) record(`${latency} ${statistic}`, 'ms', (level) => level[key]?.[statistic])
  }
  record('failed', '', (level) => level.numFailed)
}

function rangeText({ min, max }: TokenRange): string {
  return min === max ? String(min) : `${min}-${max}`
}
