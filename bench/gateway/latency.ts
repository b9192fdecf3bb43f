/**
 * What the gateway adds: open-loop requests for streams of 100 events before a worker without an engine. Every piece of text tells when it
 * left the worker; the client takes it off when it arrives. The gateway has one core, worker and load share the other one. Then many streams
 * at once, and the memory they take.
 *
 * Arguments: [RATE [SECONDS [ROUNDS [STREAMS]]]].
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { LatencyOrder, LatencyResult } from './latency-client.ts'

const [rate = '1000', seconds = '5', rounds = '5', streams = '2000'] = process.argv.slice(2)
const GATEWAY_CORE = '0'
const LOAD_CORE = '1'
/** Of the mock worker. */
const STEP_MS = 5
const NUM_EVENTS = 100
const OPENING_S = 5

interface Figures {
  readonly rssMib: number
  readonly cpu: NodeJS.CpuUsage
}

function pinned(core: string, script: string): ChildProcess {
  return fork(path.join(import.meta.dirname, script), [], {
    execPath: 'taskset',
    execArgv: ['-c', core, process.execPath, '--conditions=inferd-source'],
  })
}

async function ask<Answer>(child: ChildProcess, message: object): Promise<Answer> {
  child.send(message)
  const [answer] = (await once(child, 'message')) as [Answer]
  return answer
}

const gateway = pinned(GATEWAY_CORE, 'gateway-process.ts')
const [{ port }] = (await once(gateway, 'message')) as [{ port: number }]
const client = pinned(LOAD_CORE, 'latency-client.ts')
await delay(1500)

interface GatewayRun extends LatencyResult {
  readonly gatewayCpuShare: number
  readonly cpuMicrosPerRequest: number
  readonly rssMib: readonly [before: number, peak: number]
}

async function run(ratePerSecond: number, durationMs: number, paceMs = STEP_MS): Promise<GatewayRun> {
  const before = await ask<Figures>(gateway, {})
  const startMs = performance.now()
  const order: LatencyOrder = { port, ratePerSecond, durationMs, paceMs, model: 'mock' }
  let isOver = false
  const answer = ask<LatencyResult>(client, order).finally(() => {
    isOver = true
  })
  let peakRssMib = before.rssMib
  while (!isOver) {
    await delay(250)
    peakRssMib = Math.max(peakRssMib, (await ask<Figures>(gateway, {})).rssMib)
  }
  const result = await answer
  const after = await ask<Figures>(gateway, {})
  const cpuMs = (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1000
  return {
    ...result,
    gatewayCpuShare: cpuMs / (performance.now() - startMs),
    cpuMicrosPerRequest: (cpuMs * 1000) / result.numRequests,
    rssMib: [Math.round(before.rssMib), Math.round(peakRssMib)],
  }
}

await run(Number(rate) / 2, 3000)
for (let round = 0; round < Number(rounds); round++)
  console.log(JSON.stringify({ case: `${rate} requests/s`, ...(await run(Number(rate), Number(seconds) * 1000)) }))
// A stream takes twice as long as all of them take to arrive: all are open at once for a while.
const open = await run(Number(streams) / OPENING_S, OPENING_S * 1000, (OPENING_S * 2000) / NUM_EVENTS)
console.log(JSON.stringify({ case: `${streams} streams open at once, an event each ${(OPENING_S * 2000) / NUM_EVENTS} ms`, ...open }))
gateway.disconnect()
client.disconnect()
