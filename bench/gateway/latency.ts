/**
 * What the gateway adds: open-loop requests for streams of 100 events before a worker without an engine. Every piece of text tells when it
 * left the worker; the client takes it off when it arrives. The gateway has one core, worker and load share the other one. In turn with
 * it bare `node:http`, which adds nothing: the floor of this machine. Then many streams at once, and the memory they take.
 *
 * Arguments: [RATE [SECONDS [ROUNDS [STREAMS]]]].
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { emit, recordOf } from '../record.ts'
import type { LatencyOrder, LatencyResult } from './latency-client.ts'
import { ask, compileSubjects, startLoad, startSubject } from './processes.ts'

const [rate = '1000', seconds = '5', rounds = '5', streams = '2000'] = process.argv.slice(2)
/** Of the mock worker. */
const STEP_MS = 5
const NUM_EVENTS = 100
const OPENING_S = 5

interface Figures {
  readonly rssMib: number
  readonly cpu: NodeJS.CpuUsage
}

interface Subject {
  readonly name: string
  readonly process: ChildProcess
  readonly port: number
}

interface SubjectRun extends LatencyResult {
  readonly cpuShare: number
  readonly cpuMicrosPerRequest: number
  readonly rssMib: readonly [before: number, peak: number]
}

async function start(name: string, script: string): Promise<Subject> {
  const subject = startSubject(script)
  const [{ port }] = (await once(subject, 'message')) as [{ port: number }]
  return { name, process: subject, port }
}

compileSubjects()
const gateway = await start('gateway', 'gateway-process')
const bare = await start('bare node:http', 'bare-process')
const client = startLoad('latency-client')
await delay(1500)

async function run(subject: Subject, ratePerSecond: number, durationMs: number, paceMs = STEP_MS): Promise<SubjectRun> {
  const before = await ask<Figures>(subject.process, {})
  const startMs = performance.now()
  const order: LatencyOrder = { port: subject.port, ratePerSecond, durationMs, paceMs, model: 'mock' }
  let isOver = false
  const answer = ask<LatencyResult>(client, order).finally(() => {
    isOver = true
  })
  let peakRssMib = before.rssMib
  while (!isOver) {
    await delay(250)
    peakRssMib = Math.max(peakRssMib, (await ask<Figures>(subject.process, {})).rssMib)
  }
  const result = await answer
  const after = await ask<Figures>(subject.process, {})
  const cpuMs = (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1000
  return {
    ...result,
    cpuShare: cpuMs / (performance.now() - startMs),
    cpuMicrosPerRequest: (cpuMs * 1000) / result.numRequests,
    rssMib: [Math.round(before.rssMib), Math.round(peakRssMib)],
  }
}

const subjects = [gateway, bare]
const PACES = [
  [`an event each ${STEP_MS} ms`, STEP_MS],
  ['all events at once', 0],
] as const
for (const subject of subjects) await run(subject, Number(rate) / 2, 3000)
const runs = new Map<string, SubjectRun[]>()
for (let round = 0; round < Number(rounds); round++) {
  for (const subject of subjects) {
    for (const [how, paceMs] of PACES) {
      const name = `${subject.name}, ${rate} requests/s, ${how}`
      const figures = await run(subject, Number(rate), Number(seconds) * 1000, paceMs)
      runs.set(name, [...(runs.get(name) ?? []), figures])
      console.error(JSON.stringify({ case: name, ...figures }))
    }
  }
}
// A stream takes twice as long as all of them take to arrive: all are open at once for a while.
const paceMs = (OPENING_S * 2000) / NUM_EVENTS
const open = await run(gateway, Number(streams) / OPENING_S, OPENING_S * 1000, paceMs)
runs.set(`${streams} streams open at once, an event each ${paceMs} ms`, [open])
for (const [name, figures] of runs) report(name, figures)
for (const { process: subject } of subjects) subject.disconnect()
client.disconnect()

function report(name: string, figures: readonly SubjectRun[]): void {
  const metrics: readonly (readonly [string, string, (figure: SubjectRun) => number])[] = [
    ['request p50', 'ms', ({ requestMs }) => requestMs[0]],
    ['request p99', 'ms', ({ requestMs }) => requestMs[1]],
    ['event p50', 'ms', ({ pieceMs }) => pieceMs[0]],
    ['event p99', 'ms', ({ pieceMs }) => pieceMs[1]],
    ['share of its core', '', ({ cpuShare }) => cpuShare],
    ['processor time a request', 'us', ({ cpuMicrosPerRequest }) => cpuMicrosPerRequest],
    ['resident at the peak', 'MiB', ({ rssMib }) => rssMib[1]],
    ['failures', '', ({ numFailures }) => numFailures],
  ]
  for (const [metric, unit, pick] of metrics) emit(recordOf({ suite: 'gateway', case: name, metric, unit }, figures.map(pick)))
}
