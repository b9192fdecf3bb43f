/**
 * Overload: open-loop load of 1, 2, 5 and 10 times what the model carries, against a real gateway before a worker of bounded throughput;
 * then half of it again. Without retries and with those of the official clients. A record for each, and at the end what was promised: goodput
 * at ten times the load against the peak, the 99th percentile of refusals, memory, and how long until all is as before.
 *
 * Arguments: [SEQUENCES [SECONDS [RETRIES]]]: sequences of the worker (each makes two answers a second), seconds of a step.
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { emit, recordOf } from '../record.ts'
import type { OverloadOrder, OverloadResult } from './overload-client.ts'
import { ask, compileSubjects, startLoad, startSubject } from './processes.ts'

const [sequences = '40', seconds = '8', retries = '0,2'] = process.argv.slice(2)
/** 100 events of 5 ms each. */
const PEAK_PER_SECOND = Number(sequences) * 2
const PROMISE_MS = 1500
const MAX_WAIT_S = 1

interface Step extends OverloadResult {
  readonly goodPerSecond: number
  readonly rssMib: number
  readonly gatewayCpuShare: number
}

interface Figures {
  readonly rssMib: number
  readonly cpu: NodeJS.CpuUsage
}

compileSubjects()
const gateway = startSubject('gateway-process', [sequences, String(MAX_WAIT_S)])
const [{ port }] = (await once(gateway, 'message')) as [{ port: number }]
const client = startLoad('overload-client')
await delay(1500)

async function step(factor: number, durationMs: number, maxRetries: number): Promise<Step> {
  const before = await ask<Figures>(gateway, {})
  const startMs = performance.now()
  const order: OverloadOrder = { port, ratePerSecond: PEAK_PER_SECOND * factor, durationMs, promiseMs: PROMISE_MS, seed: 1 + factor, maxRetries }
  const result = await ask<OverloadResult>(client, order)
  const after = await ask<Figures>(gateway, {})
  const cpuMs = (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1000
  return {
    ...result,
    goodPerSecond: Math.round((result.numGood * 10_000) / durationMs) / 10,
    rssMib: Math.round(after.rssMib),
    gatewayCpuShare: Number((cpuMs / (performance.now() - startMs)).toFixed(2)),
  }
}

/** Seconds of half the load until one has neither refusals nor late answers; Infinity = not within ten. */
async function secondsToRecover(): Promise<number> {
  for (let second = 1; second <= 10; second++) {
    const { numRefused, numLate, numFailures } = await step(0.5, 1000, 0)
    if (numRefused + numLate + numFailures === 0) return second
  }
  return Infinity
}

const durationMs = Number(seconds) * 1000
await step(1, 4000, 0)
for (const maxRetries of retries.split(',').map(Number)) {
  const steps: Step[] = []
  for (const factor of [1, 2, 5, 10]) {
    const figures = await step(factor, durationMs, maxRetries)
    steps.push(figures)
    const name = `${factor} x ${PEAK_PER_SECOND}/s, ${maxRetries} retries`
    console.error(JSON.stringify({ case: name, ...figures }))
    record(name, 'in time', '1/s', figures.goodPerSecond)
    record(name, 'refusals, p99', 'ms', figures.refusalMs[1])
    record(name, 'gateway, resident', 'MiB', figures.rssMib)
    record(name, 'share of its core', '', figures.gatewayCpuShare)
  }
  const peak = Math.max(...steps.map(({ goodPerSecond }) => goodPerSecond))
  const recoveredS = await secondsToRecover()
  const last = steps.at(-1)!
  const name = `overload, ${maxRetries} retries`
  record(name, 'in time at ten times the load, of the peak', '', last.goodPerSecond / peak)
  record(name, 'refusals, largest p99', 'ms', Math.max(...steps.map(({ refusalMs }) => refusalMs[1])))
  record(name, 'until all is as before', 's', recoveredS)
  record(
    name,
    'failures',
    '',
    steps.reduce((sum, { numFailures }) => sum + numFailures, 0),
  )
}
gateway.disconnect()
client.disconnect()

function record(name: string, metric: string, unit: string, value: number): void {
  emit(recordOf({ suite: 'gateway-overload', case: name, metric, unit }, [value]))
}
