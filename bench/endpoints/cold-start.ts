/**
 * A sleeping model to the first token of its first caller: [MODEL ROUNDS SPARE]. One server, the model put to sleep between the rounds; the client
 * measures from the request to the first streamed piece, the server tells where the time went. The first start, which packs the weights, stands
 * apart: it leaves them packed for the others.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { emit, recordOf } from '../record.ts'
import { InferdProcess, serverSentEvents } from '../../tests/e2e/inferd-process.ts'

const [model = 'models/inferd-chat/inferd-chat-Q8_0.gguf', rounds = '20', spareWorkers = '0'] = process.argv.slice(2)
const PHASES = ['wait', 'spawn', 'load', 'first_token', 'total'] as const
/** Long enough for a spare worker to be replaced before the next round. */
const IDLE_S = 4
const SETTLE_MS = 2000

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-cold-start-'))
const file = path.join(folder, 'platform.json')
writeFileSync(
  file,
  JSON.stringify({
    models: [{ name: 'bench', path: path.resolve(model), minReplicas: 0, idleTimeoutS: IDLE_S }],
    modelMemory: { spareWorkers: Number(spareWorkers) },
  }),
)
try {
  await using server = await (await InferdProcess.start('--log-level', 'error', '--data-dir', path.join(folder, 'data'), '--config', file)).ready()
  // Spare workers come up beside the first round.
  await sleep(SETTLE_MS)
  await asleep(server)
  const firstMs = Math.round(await firstPieceMs(server))
  const clientMs: number[] = []
  const before = await (await fetch(`${server.baseUrl}/metrics`)).text()
  for (let round = 0; round < Number(rounds); round++) {
    await asleep(server)
    clientMs.push(await firstPieceMs(server))
  }
  const text = await (await fetch(`${server.baseUrl}/metrics`)).text()
  const meanMs = (phase: string): number => {
    const [from, to] = [before, text].map((page) => figure(page, `sum{model="bench",phase="${phase}"}`))
    return Math.round(((to! - from!) / Number(rounds)) * 1000)
  }
  const name = `${path.basename(model)}, ${spareWorkers} spare workers, ${rounds} rounds`
  const record = (metric: string, values: readonly number[]): void => emit(recordOf({ suite: 'cold-start', case: name, metric, unit: 'ms' }, values))
  const ordered = clientMs.toSorted((a, b) => a - b)
  record('first token at the client', clientMs)
  record('first token at the client, p95', [ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * 0.95))]!])
  record('first token of the first start', [firstMs])
  for (const phase of PHASES) record(`mean of the phase ${phase}`, [meanMs(phase)])
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function asleep(server: InferdProcess): Promise<void> {
  for (;;) {
    const { models } = (await (await fetch(`${server.baseUrl}/readyz`)).json()) as { models: { state: string }[] }
    if (models[0]!.state === 'asleep') return
    await sleep(100)
  }
}

async function firstPieceMs(server: InferdProcess): Promise<number> {
  const sentMs = performance.now()
  const response = await server.post('/v1/completions', { model: 'bench', prompt: 'The quick brown fox', stream: true, max_tokens: 4 })
  let tookMs: number | null = null
  for await (const _ of serverSentEvents(response)) tookMs ??= performance.now() - sentMs
  return tookMs ?? NaN
}

function figure(text: string, name: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`inferd_cold_start_seconds_${name}`))
  return Number(line?.slice(line.lastIndexOf(' ') + 1))
}
