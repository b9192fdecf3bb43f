/** The llama-bench and llama-server of a build folder of mainline llama.cpp or of ik_llama.cpp. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { outputOf } from './child-output.ts'
import { loadServer } from './completions-load.ts'
import { parseLlamaBench } from './llama-bench-output.ts'
import { contextPerSlot, type LoadOrder, type RunningServer, type Speed, type SpeedOrder, type Subject } from './subject.ts'

const START_TIMEOUT_MS = 300_000
const NO_AMX = 'LLAMA_NO_AMX'

/** Of one peer; a variant is a peer of its own, since neither is faster everywhere. */
export interface LlamaBuildOptions {
  readonly name: string
  readonly folder: string
  readonly variant: LlamaVariant | null
}

/** `repack`: ik_llama.cpp repacks weights at load. `no-amx`: mainline repacks for AVX-512 instead of AMX (a build patched as bench/peers/README.md has it). */
export type LlamaVariant = 'repack' | 'no-amx'

interface Build {
  readonly folder: string
  readonly isIk: boolean
  readonly variant: LlamaVariant | null
  readonly env: Readonly<Record<string, string>>
}

/** Throws where nothing is built there, or where the build does not have the variant. */
export function llamaBuild({ name, folder, variant }: LlamaBuildOptions): Subject {
  for (const program of ['llama-bench', 'llama-server'])
    if (!existsSync(programOf(folder, program))) throw new Error(`${name}: there is no ${programOf(folder, program)}`)
  const program = readFileSync(programOf(folder, 'llama-bench'))
  const build = { folder, variant, isIk: program.includes('--run-time-repack'), env: variant === 'no-amx' ? { [NO_AMX]: '1' } : {} }
  if ((variant === 'repack' && !build.isIk) || (variant === 'no-amx' && !program.includes(NO_AMX)))
    throw new Error(`${name}: this build does not have +${variant}`)
  return {
    name,
    version: versionOf(folder),
    measureSpeed: async (order) => measureSpeed(build, order),
    measureLoad: async (order) => {
      await using server = await startServer(build, order)
      return await loadServer(server, order)
    },
  }
}

/** Prefill first, then decode, so that mainline does not prefill at the depths too. */
function measureSpeed(build: Build, { modelPath, numThreads, prefillLengths, depths, numOutput }: SpeedOrder): Speed {
  const common = ['-m', modelPath, '-t', String(numThreads), '-r', '1', '-o', 'json', ...(build.variant === 'repack' ? ['-rtr', '1'] : [])]
  const decode = build.isIk
    ? ['-p', '0', '-n', '0', ...depths.flatMap((depth) => ['-gp', `${depth},${numOutput}`])]
    : ['-p', '0', '-n', String(numOutput), '-d', depths.join(',')]
  const run = (args: readonly string[]): Speed =>
    parseLlamaBench(outputOf(programOf(build.folder, 'llama-bench'), [...common, ...args], { cwd: '/', env: build.env }))
  return { prefill: run(['-p', prefillLengths.join(','), '-n', '0']).prefill, decode: run(decode).decode }
}

async function startServer({ folder, variant, env }: Build, order: LoadOrder): Promise<RunningServer> {
  const port = await freePort()
  const options = {
    '-m': order.modelPath,
    '-t': order.numThreads,
    '-tb': order.numThreads,
    '-np': order.numSlots,
    '-c': order.numSlots * contextPerSlot(order),
    '--host': '127.0.0.1',
    '--port': port,
  }
  const args = [...Object.entries(options).flatMap(([name, value]) => [name, String(value)]), ...(variant === 'repack' ? ['-rtr'] : [])]
  const child = spawn(programOf(folder, 'llama-server'), args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
  const kill = (): boolean => child.kill('SIGKILL')
  process.once('exit', kill)
  const exited = once(child, 'exit')
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-4000)))
  const baseUrl = `http://127.0.0.1:${port}`
  await untilHealthy(baseUrl, child, () => log)
  return {
    baseUrl,
    model: 'bench',
    [Symbol.asyncDispose]: async () => {
      kill()
      await exited
      process.off('exit', kill)
    },
  }
}

async function untilHealthy(baseUrl: string, child: ChildProcess, log: () => string): Promise<void> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS
  while (performance.now() < deadlineMs && child.exitCode === null && child.signalCode === null) {
    const response = await fetch(`${baseUrl}/health`, { signal: AbortSignal.timeout(5000) }).catch(() => null)
    await response?.body?.cancel()
    if (response?.status === 200) return
    await sleep(100)
  }
  child.kill('SIGKILL')
  throw new Error(`llama-server did not get there:\n${log()}`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** The commit, as the build tells it: `version: 4200 (8337e4c)` or `version: 0.5.0-dev (build 1, commit 0c1e570)`. */
function versionOf(folder: string): string {
  const run = spawnSync(programOf(folder, 'llama-server'), ['--version'], { encoding: 'utf8' })
  return /(?:\(|commit )([0-9a-f]{7,})/.exec(`${run.stdout}${run.stderr}`)?.[1] ?? 'unknown'
}

function programOf(folder: string, program: string): string {
  return path.join(folder, 'bin', program)
}
