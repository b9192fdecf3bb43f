/** A real `inferd serve` on a free port, as a user starts it, with what it printed. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const ROOT = path.resolve(import.meta.dirname, '../..')
const START_TIMEOUT_MS = 60_000

/** A test that times out disposes of nothing: what still runs ends with the test process. */
const running = new Set<ChildProcess>()
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')))

/** As /readyz has it. */
export interface EngineLoad {
  readonly running: number
  readonly waiting: number
  readonly kvBlocks: number
  readonly kvBlocksFree: number
}

export class InferdProcess implements AsyncDisposable {
  readonly child: ChildProcess
  readonly baseUrl: string
  private readonly output: { text: string }

  private constructor(child: ChildProcess, baseUrl: string, output: { text: string }) {
    this.child = child
    this.baseUrl = baseUrl
    this.output = output
  }

  static start(...args: string[]): Promise<InferdProcess> {
    return InferdProcess.startWith({}, ...args)
  }

  /** `environment` is added to that of the test. */
  static async startWith(environment: Readonly<Record<string, string>>, ...args: string[]): Promise<InferdProcess> {
    const child = spawn(process.execPath, ['--conditions=inferd-source', 'src/main.ts', 'serve', '--port', '0', ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...environment },
    })
    running.add(child)
    child.once('exit', () => running.delete(child))
    const output = { text: '' }
    child.stderr!.on('data', (chunk: Buffer) => (output.text += chunk.toString()))
    const baseUrl = await waitFor(() => /listens on (http:\/\/\S+)/.exec(output.text)?.[1] ?? null, child, output)
    return new InferdProcess(child, baseUrl, output)
  }

  /** Standard error so far. */
  get log(): string {
    return this.output.text
  }

  async ready(): Promise<this> {
    await waitFor(async () => ((await fetch(`${this.baseUrl}/readyz`)).status === 200 ? true : null), this.child, this.output)
    return this
  }

  /** What the engine of the first model holds now, over a connection of its own that is closed afterwards. */
  async load(): Promise<EngineLoad> {
    const response = await fetch(`${this.baseUrl}/readyz`, { headers: { connection: 'close' } })
    return ((await response.json()) as { models: { load: EngineLoad }[] }).models[0]!.load
  }

  get pid(): number {
    return this.child.pid!
  }

  /** Process ids of the workers, from the kernel. */
  workerPids(): number[] {
    return readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  }

  numOpenFiles(pid = this.pid): number {
    return readdirSync(`/proc/${pid}/fd`).length
  }

  residentBytes(pid = this.pid): number {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
  }

  post(route: string, body: unknown, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.baseUrl}${route}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), ...init })
  }

  exited(): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return Promise.resolve(this.child.exitCode)
    return new Promise((resolve) => this.child.once('exit', (code) => resolve(code)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exited()
  }
}

/** Polls until `attempt` gives something; fails with the log when the process ends or time is up. */
async function waitFor<T>(attempt: () => T | null | Promise<T | null>, child: ChildProcess, output: { text: string }): Promise<T> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (performance.now() < deadline && child.exitCode === null && child.signalCode === null) {
    const result = await attempt()
    if (result !== null) return result
    await sleep(20)
  }
  throw new Error(`inferd did not get there:\n${output.text}`)
}

/** Server-sent events of a response as parsed JSON; `[DONE]` as that text. Ends when the connection does. */
export async function* serverSentEvents(response: Response): AsyncGenerator<Record<string, never> | '[DONE]'> {
  let pending = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    pending += chunk
    for (let end = pending.indexOf('\n\n'); end >= 0; end = pending.indexOf('\n\n')) {
      const data = /^data: (.*)$/m.exec(pending.slice(0, end))?.[1]
      pending = pending.slice(end + 2)
      if (data !== undefined) yield data === '[DONE]' ? data : JSON.parse(data)
    }
  }
}
