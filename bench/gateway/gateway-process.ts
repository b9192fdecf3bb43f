/**
 * The gateway as `inferd serve` puts it together, before workers without an engine; the store is a file of its own.
 *
 * Arguments: [MAX_RUNNING MAX_WAIT_S], the capacity of the model and its longest line; without them it takes whatever comes.
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { systemClock } from '#base/clock'
import { SeededRandom } from '#base/random'
import { DiskDamage } from '#cli/disk-damage'
import { openPlatform } from '#cli/open-platform'
import { parsePlatformFile } from '#config/platform-file'
import type { EngineOptions } from '#engine/engine'
import { ModelRegistry } from '#platform/registry/model-registry'
import type { FromWorker } from '#platform/replicas/messages'
import type { SpawnWorker } from '#platform/replicas/worker-process'
import { openStore } from '#platform/store/open-store'
import { createServer } from '#server/http/listener'
import { DEFAULT_SERVER_OPTIONS } from '#server/http/server-options'
import { createLog } from '#telemetry/log'
import { forkMockWorker } from './mock-worker-process.ts'

const [maxRunning = null, maxWaitS = '30'] = process.argv.slice(2)
/** As for a model of so many sequences: a quarter more are given to it. */
const admitted = maxRunning === null ? 100_000 : Math.ceil(Number(maxRunning) * 1.25)
const FILE = `
prices: { mock: { input: 0.5, output: 1.5 } }
admission: { capacity: { mock: { maxRunning: ${admitted} } }, maxWaitS: ${maxWaitS} }
`
const spawnMock: SpawnWorker = (listeners) => {
  const child = forkMockWorker(maxRunning === null ? [] : [maxRunning])
  child.on('message', (message) => listeners.onMessage(message as FromWorker))
  child.on('exit', (code) => listeners.onExit(`exit code ${code}`))
  return { pid: child.pid ?? null, send: (message) => void child.send(message, () => {}), kill: () => void child.kill('SIGKILL') }
}

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-gateway-'))
const models = new ModelRegistry()
models.add('mock', { engine: {} as EngineOptions, spawn: spawnMock, clock: systemClock })
const log = createLog('error')
const platform = await openPlatform({
  store: await openStore({ file: path.join(folder, 'inferd.sqlite') }),
  dataDir: folder,
  file: parsePlatformFile(FILE, 'bench'),
  models,
  machine: null,
  maxSequences: 100_000,
  requestTimeoutMs: 600_000,
  maxCallBytes: DEFAULT_SERVER_OPTIONS.bodyLimitBytes,
  responseRetentionDays: 1,
  diskReserveBytes: 0,
  version: '0',
  clock: systemClock,
  random: new SeededRandom(1),
  log,
  damage: new DiskDamage(log),
})
const options = { ...DEFAULT_SERVER_OPTIONS, host: '127.0.0.1', port: 0, maxConnections: 100_000 }
const server = createServer({ models, online: platform.online, services: platform.services, options, log, clock: systemClock })
const { port } = await server.listen()
process.send?.({ port })
process.on('message', () => process.send?.({ rssMib: process.memoryUsage.rss() / 2 ** 20, cpu: process.cpuUsage() }))
process.once('disconnect', () => process.exit(0))
