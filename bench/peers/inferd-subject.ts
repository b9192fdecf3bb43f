/** inferd itself: `bench/engine/speed.ts` for one stream, `inferd serve` for many. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { InferdProcess } from '../../tests/e2e/inferd-process.ts'
import { lastLineOf } from './child-output.ts'
import { loadServer } from './completions-load.ts'
import { contextPerSlot, type LoadOrder, type RunningServer, type Speed, type SpeedOrder, type Subject } from './subject.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
/** Room for every sequence of the suites; reserved, touched only where blocks are used. */
const KV_CACHE_MIB = 4096

export const inferd: Subject = {
  name: 'inferd',
  version: '',
  measureSpeed: async ({ modelPath, prefillLengths, numOutput, numThreads, depths }: SpeedOrder) => {
    const args = [modelPath, prefillLengths.join(','), String(numOutput), String(numThreads), depths.join(',')]
    const line = lastLineOf(process.execPath, ['--conditions=inferd-source', 'bench/engine/speed.ts', ...args], { cwd: ROOT })
    const { prefill, decode } = JSON.parse(line) as Speed
    return { prefill, decode }
  },
  measureLoad: async (order) => {
    await using server = await startServer(order)
    return await loadServer(server, order)
  },
}

async function startServer(order: LoadOrder): Promise<RunningServer> {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-bench-peers-'))
  const options = {
    model: `bench=${order.modelPath}`,
    threads: order.numThreads,
    'max-sequences': order.numSlots,
    ctx: contextPerSlot(order),
    'kv-cache-mib': KV_CACHE_MIB,
    'packed-weights-mib': 0,
    'data-dir': folder,
    'log-level': 'error',
  }
  const server = await InferdProcess.start(...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]))
  await server.ready()
  return {
    baseUrl: server.baseUrl,
    model: 'bench',
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
