/**
 * Many models under one memory: [MODELS REQUESTS CLIENTS BUDGET_MIB SPARE EXPONENT]. A folder of links to a small model, requests drawn by Zipf's
 * law from closed loops; hit ratio, latency of hits and misses, loads and evictions.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { SeededRandom } from '#base/random'
import { emit, recordOf } from '../record.ts'
import { InferdProcess } from '../../tests/e2e/inferd-process.ts'

const [models = '2000', requests = '1500', clients = '4', budgetMib = '4096', spareWorkers = '1', exponent = '1.1'] = process.argv.slice(2)
const MODEL_FILE = path.resolve('models/inferd-draft/inferd-draft-Q8_0.gguf')
const KV_CACHE_MIB = 4
const SEED = 7

const numModels = Number(models)
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-multi-model-'))
const modelFolder = path.join(folder, 'models')
const file = path.join(folder, 'platform.json')
mkdirSync(modelFolder)
for (let index = 0; index < numModels; index++) symlinkSync(MODEL_FILE, path.join(modelFolder, `m${index}.gguf`))
const memory = { budgetMib: Number(budgetMib), spareWorkers: Number(spareWorkers) }
writeFileSync(file, JSON.stringify({ modelFolders: [{ path: modelFolder, idleTimeoutS: 3600, kvCacheMib: KV_CACHE_MIB }], modelMemory: memory }))

/** Cumulative shares of the models, most popular first. */
const shares = Array.from({ length: numModels }, (_, index) => 1 / (index + 1) ** Number(exponent))
const total = shares.reduce((sum, share) => sum + share, 0)
const cumulative = shares.map(
  (
    (sum) => (share: number) =>
      (sum += share / total)
  )(0),
)

try {
  const startedMs = performance.now()
  await using server = await InferdProcess.start('--log-level', 'error', '--data-dir', path.join(folder, 'data'), '--config', file)
  const listeningMs = performance.now() - startedMs
  const random = new SeededRandom(SEED)
  const latencies: number[] = []
  const statuses = new Map<number, number>()
  let numSent = 0
  const client = async (): Promise<void> => {
    while (numSent++ < Number(requests)) {
      const draw = random.nextFloat()
      const index = Math.min(
        numModels - 1,
        cumulative.findIndex((share) => share >= draw),
      )
      const sentMs = performance.now()
      const response = await server.post('/v1/completions', { model: `m${index}`, prompt: 'The quick brown fox', max_tokens: 4 })
      await response.arrayBuffer()
      latencies.push(performance.now() - sentMs)
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
    }
  }
  const beganMs = performance.now()
  await Promise.all(Array.from({ length: Number(clients) }, client))
  const seconds = (performance.now() - beganMs) / 1000
  const text = await (await fetch(`${server.baseUrl}/metrics`)).text()
  const hits = sumOf(text, 'inferd_model_cache_requests_total', 'found="hit"')
  const misses = sumOf(text, 'inferd_model_cache_requests_total', 'found="miss"')
  const ordered = latencies.toSorted((a, b) => a - b)
  const quantileMs = (share: number): number => Math.round(ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * share))]!)
  const name = `${numModels} models, ${latencies.length} requests of ${clients} clients, ${budgetMib} MiB, ${spareWorkers} spare workers, exponent ${exponent}`
  for (const [metric, unit, value] of [
    ['requests', '1/s', latencies.length / seconds],
    ['hit ratio', '', hits / (hits + misses)],
    ['loads', '', sumOf(text, 'inferd_model_loads_total')],
    ['evictions', '', sumOf(text, 'inferd_model_unloads_total', 'reason="evicted"')],
    ['p50', 'ms', quantileMs(0.5)],
    ['p90', 'ms', quantileMs(0.9)],
    ['p99', 'ms', quantileMs(0.99)],
    ['to listening', 'ms', listeningMs],
    ['gateway, resident', 'MiB', server.residentBytes() / 2 ** 20],
    ...[...statuses].map(([status, count]) => [`answers of status ${status}`, '', count] as const),
  ] as const)
    emit(recordOf({ suite: 'multi-model', case: name, metric, unit }, [value]))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function sumOf(text: string, name: string, label = ''): number {
  const lines = text.split('\n').filter((line) => line.startsWith(name) && line.includes(label))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
