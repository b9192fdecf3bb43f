/**
 * A batch beside interactive calls: [MODEL ROUNDS SECONDS LOAD PROMPT OUTPUT]. Each round has three phases on one server, in an order that
 * turns: interactive calls alone (Poisson, LOAD of what the machine can), a batch alone, and both with the same arrivals. Told is how much later
 * the first token of an interactive call comes, and what the batch gets of what the interactive calls leave:
 *
 *   leftover = requests a second of the batch alone - interactive requests a second;  share = requests a second of the batch beside them / leftover
 *
 * Interactive calls and records of the batch have the same form, so that a request is a request. Without MODEL one of 0.5 B random weights is made.
 */
import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '#base/random'
import { InferdProcess } from '../../tests/e2e/inferd-process.ts'
import { emit, recordLine, recordOf } from '../record.ts'
import { BatchRun } from './batch-run.ts'
import { askAll, type CallShape, type Timing } from './interactive-calls.ts'

const [model = madeModel(), rounds = '5', seconds = '30', load = '0.3', promptWords = '16', outputTokens = '16'] = process.argv.slice(2)
const RECORD_FILE = path.join(tmpdir(), 'inferd-batch-soak.jsonl')
/** Longer than the engine takes to see that nobody else is there. */
const SETTLE_MS = 6000
const windowMs = Number(seconds) * 1000
const shape: CallShape = { model: 'bench', numPromptWords: Number(promptWords), numOutputTokens: Number(outputTokens) }

interface Round {
  readonly alone: readonly Timing[]
  readonly beside: readonly Timing[]
  /** Requests a second. */
  readonly batchAlone: number
  readonly batchBeside: number
  readonly interactiveBeside: number
}

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-batch-soak-'))
console.log(`${path.basename(model)}; load of the machine before: ${loadavg()[0]!.toFixed(2)}`)
try {
  await using server = await InferdProcess.start('--model', `bench=${model}`, '--data-dir', path.join(folder, 'data'), '--log-level', 'error')
  await server.ready()
  await runAlone(server, 0, windowMs / 3)
  const peak = await runAlone(server, 1, windowMs / 2)
  console.log(`the batch alone: ${peak.toFixed(2)} requests/s; interactive calls come at ${(peak * Number(load)).toFixed(2)} a second`)
  const done: Round[] = []
  for (let round = 0; round < Number(rounds); round++) {
    const each = await runRound(server, round, peak * Number(load))
    done.push(each)
    console.log(`round ${round}: ${describe(each)}; load ${loadavg()[0]!.toFixed(2)}`)
  }
  report(done)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** A batch with nothing beside it, requests a second. */
async function runAlone(server: InferdProcess, seed: number, durationMs: number): Promise<number> {
  const batch = await BatchRun.start(server, shape, seed)
  await sleep(SETTLE_MS)
  const rate = await batch.rateOver(durationMs)
  await batch.cancel()
  return rate
}

async function runRound(server: InferdProcess, round: number, ratePerS: number): Promise<Round> {
  const calls = { shape, ratePerS, durationMs: windowMs }
  // The same arrivals, other words: nothing of one phase is in the prefix cache of the next.
  const arrivals = 1000 + round
  const alone = async (): Promise<readonly Timing[]> =>
    askAll(server, { ...calls, arrivals: new SeededRandom(arrivals), words: new SeededRandom(2 * arrivals) })
  const both = async (): Promise<readonly [readonly Timing[], number]> => {
    const batch = await BatchRun.start(server, shape, 3 * arrivals)
    await sleep(SETTLE_MS)
    const asking = askAll(server, { ...calls, arrivals: new SeededRandom(arrivals), words: new SeededRandom(5 * arrivals) })
    const rate = await batch.rateOver(windowMs)
    const timings = await asking
    await batch.cancel()
    return [timings, rate]
  }
  const isReversed = round % 2 === 1
  const first = isReversed ? await both() : await alone()
  const batchAlone = await runAlone(server, 7 * arrivals, windowMs)
  const second = isReversed ? await alone() : await both()
  const [aloneTimings, [beside, batchBeside]] = (isReversed ? [second, first] : [first, second]) as [readonly Timing[], [readonly Timing[], number]]
  return { alone: aloneTimings, beside, batchAlone, batchBeside, interactiveBeside: beside.length / (windowMs / 1000) }
}

function shareOf({ batchAlone, batchBeside, interactiveBeside }: Round): number {
  return batchBeside / (batchAlone - interactiveBeside)
}

function ratioOf({ alone, beside }: Round, pick: (timing: Timing) => number, quantile: number): number {
  return quantileOf(beside.map(pick), quantile) / quantileOf(alone.map(pick), quantile)
}

function describe(round: Round): string {
  const p95 = [round.alone, round.beside].map((timings) => quantileOf(timings.map(firstTokenMs), 0.95).toFixed(0)).join(' -> ')
  const p50 = [round.alone, round.beside].map((timings) => quantileOf(timings.map(firstTokenMs), 0.5).toFixed(0)).join(' -> ')
  const rates = `batch ${round.batchAlone.toFixed(2)} alone, ${round.batchBeside.toFixed(2)} beside ${round.interactiveBeside.toFixed(2)}`
  return `first token p50 ${p50} ms, p95 ${p95} ms; ${rates} requests/s, share ${shareOf(round).toFixed(2)}`
}

function report(done: readonly Round[]): void {
  const name = `${path.basename(model)}, ${seconds} s a phase, load ${load}, ${promptWords} words + ${outputTokens} tokens, ${done.length} rounds`
  const all = { alone: done.flatMap(({ alone }) => alone), beside: done.flatMap(({ beside }) => beside) }
  const metrics: readonly (readonly [string, readonly number[]])[] = [
    ['p95 first token, beside over alone (aim 1.15)', done.map((round) => ratioOf(round, firstTokenMs, 0.95))],
    ['p50 first token, beside over alone', done.map((round) => ratioOf(round, firstTokenMs, 0.5))],
    ['p50 time per output token, beside over alone', done.map((round) => ratioOf(round, perTokenMs, 0.5))],
    ['share of the leftover (aim 0.85)', done.map(shareOf)],
  ]
  for (const [metric, values] of metrics) {
    const record = recordOf({ suite: 'batch-soak', case: name, metric, unit: 'ratio' }, values)
    emit(record)
    appendFileSync(RECORD_FILE, `${recordLine(record)}\n`)
  }
  const [alone, beside] = [all.alone, all.beside].map((timings) => quantileOf(timings.map(firstTokenMs), 0.95))
  console.log(
    `p95 of all rounds together: ${alone!.toFixed(0)} ms alone, ${beside!.toFixed(0)} ms beside the batch: ${(beside! / alone!).toFixed(2)}`,
  )
  console.log(`load of the machine after: ${loadavg()[0]!.toFixed(2)}; records in ${RECORD_FILE}`)
}

function firstTokenMs(timing: Timing): number {
  return timing.firstTokenMs
}

function perTokenMs(timing: Timing): number {
  return timing.perTokenMs
}

function quantileOf(values: readonly number[], quantile: number): number {
  const ordered = values.toSorted((a, b) => a - b)
  return ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * quantile))]!
}

/** Made once. */
function madeModel(): string {
  const file = path.join(tmpdir(), 'inferd-bench', 'random-0.5b-q4_0.gguf')
  if (existsSync(file)) return file
  mkdirSync(path.dirname(file), { recursive: true })
  const script = path.join(import.meta.dirname, '../../scripts/make-random-model.ts')
  const args = ['--conditions=inferd-source', script, '--size', '0.5b', '--type', 'q4_0', '--out', file]
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) throw new Error('the model could not be made')
  return file
}
