/**
 * A real `inferd serve` that is killed without a warning again and again, at random moments behind its readiness, its workers too, and is
 * started again at once, while several kinds of load go on.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '#base/random'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { EchoUpstream } from './echo-upstream.ts'
import { AsyncLoad, BatchLoad, TransformLoad } from './job-loads.ts'
import type { LoadKind } from './load-kind.ts'
import { FileLoad, KeptAnswerLoad, StreamLoad } from './online-loads.ts'

const SHIPPED = path.resolve(import.meta.dirname, '../../models/inferd-chat/inferd-chat-Q8_0.gguf')
const ANSWER_MS = 5
const MIN_LIFE_MS = 50
const MAX_LIFE_MS = 400
/** Between two pieces of work of one caller: kills are to come at every moment of one, not of ten thousand. */
const PAUSE_MS = 60

export interface KillReport {
  /** From spawn to an answer of 200 at /readyz, of each life behind the first, whose predecessor was killed. */
  readonly readyMs: readonly number[]
  readonly numGatewayKills: number
  readonly numWorkerKills: number
  readonly loads: readonly LoadKind[]
}

export class KilledServer implements Disposable {
  private readonly folder: string
  private readonly random: Random
  private readonly upstream: EchoUpstream
  private readonly loads: readonly LoadKind[]
  private readonly readyMs: number[] = []
  private numWorkerKills = 0
  private current: InferdProcess | null = null

  private constructor(folder: string, random: Random, upstream: EchoUpstream) {
    this.folder = folder
    this.random = random
    this.upstream = upstream
    const bucket = path.join(folder, 'data/objects/inferd-local')
    mkdirSync(bucket, { recursive: true })
    const yaml = `${upstream.yaml}models: [{ name: inferd-chat, path: ${SHIPPED} }]\njobs: { maxAttempts: 100 }\n`
    writeFileSync(path.join(folder, 'inferd.yaml'), yaml)
    this.loads = [new AsyncLoad(bucket), new BatchLoad(12), new TransformLoad(bucket, 12), new KeptAnswerLoad(), new FileLoad(), new StreamLoad()]
  }

  static async open(folder: string, random: Random): Promise<KilledServer> {
    return new KilledServer(folder, random, await EchoUpstream.start({ name: /record [\w-]+/, answerMs: ANSWER_MS }))
  }

  /** So many lives, each of which ends by a kill. */
  async live(numLives: number): Promise<KillReport> {
    const over = new AbortController()
    const callers = Promise.all(this.loads.map((load) => this.callUntil(over.signal, load)))
    for (let life = 0; life < numLives; life++) {
      await this.start(life > 0)
      await this.pause()
      if (this.random.nextInt(2) === 0) await this.killWorkers()
      this.current?.child.kill('SIGKILL')
      await this.current?.exited()
    }
    over.abort()
    this.current = null
    await callers
    return { readyMs: this.readyMs, numGatewayKills: numLives, numWorkerKills: this.numWorkerKills, loads: this.loads }
  }

  /** A last life that is not killed: every journal is held against what the server shows. */
  async check(): Promise<void> {
    await this.start(true)
    const target = this.current!
    for (const load of this.loads) await load.check(target)
  }

  [Symbol.dispose](): void {
    this.current?.child.kill('SIGKILL')
    this.upstream[Symbol.dispose]()
  }

  private async start(isMeasured: boolean): Promise<void> {
    const startMs = performance.now()
    const args = ['--config', path.join(this.folder, 'inferd.yaml'), '--data-dir', path.join(this.folder, 'data'), '--log-level', 'error']
    this.current = await InferdProcess.start(...args)
    await this.current.ready()
    if (isMeasured) this.readyMs.push(performance.now() - startMs)
  }

  private pause(): Promise<void> {
    return sleep(MIN_LIFE_MS + this.random.nextInt(MAX_LIFE_MS - MIN_LIFE_MS))
  }

  private async killWorkers(): Promise<void> {
    for (const pid of this.current?.workerPids() ?? []) {
      process.kill(pid, 'SIGKILL')
      this.numWorkerKills++
    }
    await this.pause()
  }

  private async callUntil(signal: AbortSignal, load: LoadKind): Promise<void> {
    while (!signal.aborted) {
      const target = this.current
      // What the server refuses, or what is cut off, is nothing that it acknowledged.
      if (target !== null) await load.once(target).catch(() => {})
      await sleep(PAUSE_MS)
    }
  }
}
