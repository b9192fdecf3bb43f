/**
 * A batch beside interactive calls on machines whose steps cost what they cost, in virtual time: how much later a first token comes, and what the
 * batch gets of what the interactive calls leave. `npm run bench -- batch-soak` measures the same on a real server.
 */
import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import type { Lane } from '#contract/lane'
import type { EngineCore } from '#engine/engine-core'
import { engineCoreOptions } from '#engine/engine-core-options'
import type { Executor } from '#engine/kernels/kernels'
import type { TokenSink } from '#engine/scheduler/token-request'
import { bindNullExecutor, SMALL_CORE, startNullCore } from './null-core.ts'
import { generateRequest } from './recorded-sink.ts'

interface Machine {
  /** Of a step. */
  readonly baseMs: number
  readonly msPerToken: number
}

interface Load {
  /** Of the interactive calls; 0 = none come. */
  readonly ratePerS: number
  readonly hasBatch: boolean
}

interface Outcome {
  readonly firstTokenMs: readonly number[]
  readonly interactivePerS: number
  readonly batchPerS: number
}

const PROMPT_TOKENS = 100
const OUTPUT_TOKENS = 16
/** Of the batch, in the hands of the engine. */
const NUM_IN_FLIGHT = 32
const NUM_CALLS = 1500
const OPTIONS = engineCoreOptions({
  contextLength: 2048,
  numBlocks: 1024,
  eosTokenIds: SMALL_CORE.eosTokenIds,
  vocabSize: SMALL_CORE.vocabSize,
  hiddenSize: SMALL_CORE.hiddenSize,
  modelIdentity: 'null',
})

class VirtualMachine {
  readonly clock = new FakeClock()
  readonly firstTokenMs: number[] = []
  numInteractive = 0
  numBatch = 0
  private readonly machine: Machine
  private readonly random: SeededRandom
  private core: EngineCore | null = null
  /** Virtual times at which calls come, in order. */
  private arrivals: number[] = []
  private isBatchOn = false

  constructor(machine: Machine, seed: number) {
    this.machine = machine
    this.random = new SeededRandom(seed)
  }

  async run({ ratePerS, hasBatch }: Load, durationMs: number): Promise<Outcome> {
    const inner = await bindNullExecutor(OPTIONS)
    this.core = await startNullCore({ options: OPTIONS, clock: this.clock, executor: this.timed(inner) })
    for (let atMs = this.gapMs(ratePerS); ratePerS > 0 && atMs < durationMs; atMs += this.gapMs(ratePerS)) this.arrivals.push(atMs)
    this.isBatchOn = hasBatch
    if (hasBatch) for (let count = 0; count < NUM_IN_FLIGHT; count++) this.submitBatch()
    while (this.clock.nowMs() < durationMs) {
      await new Promise((resolve) => setImmediate(resolve))
      const stats = this.core.stats()
      if (stats.numRunning + stats.numWaiting > 0) continue
      // Nothing to do until the next call comes.
      await this.clock.advance(Math.max(0.01, (this.arrivals[0] ?? durationMs) - this.clock.nowMs()))
      this.takeArrivals()
    }
    const seconds = this.clock.nowMs() / 1000
    const outcome = { firstTokenMs: this.firstTokenMs, interactivePerS: this.numInteractive / seconds, batchPerS: this.numBatch / seconds }
    this.isBatchOn = false
    await this.core.close()
    return outcome
  }

  private timed(inner: Executor): Executor {
    return {
      memory: inner.memory,
      copyBlocks: (pairs) => inner.copyBlocks(pairs),
      keepWeights: () => inner.keepWeights(),
      close: () => inner.close(),
      runStep: async (batch, sampling) => {
        const output = await inner.runStep(batch, sampling)
        await this.clock.advance(this.machine.baseMs + this.machine.msPerToken * batch.numTokens)
        this.takeArrivals()
        return output
      },
    }
  }

  private takeArrivals(): void {
    while (this.arrivals[0] !== undefined && this.arrivals[0] <= this.clock.nowMs()) this.submitCall(this.arrivals.shift()!)
  }

  private submitCall(atMs: number): void {
    let isFirst = true
    this.submit('shared', {
      onToken: () => {
        if (isFirst) this.firstTokenMs.push(this.clock.nowMs() - atMs)
        isFirst = false
      },
      onEnd: () => this.numInteractive++,
    })
  }

  private submitBatch(): void {
    this.submit('background', {
      onToken: () => {},
      onEnd: () => {
        this.numBatch++
        if (this.isBatchOn) this.submitBatch()
      },
    })
  }

  private submit(lane: Lane, on: Pick<TokenSink, 'onToken' | 'onEnd'>): void {
    const prompt = Array.from({ length: PROMPT_TOKENS }, () => 1 + this.random.nextInt(OPTIONS.vocabSize - 1))
    const sink = { onStart: () => {}, onChoiceEnd: () => {}, onEmbedding: () => {}, onError: () => {}, ...on }
    this.core?.submit(generateRequest(prompt, { maxTokens: OUTPUT_TOKENS, ignoreEos: true, lane }), sink)
  }

  private gapMs(ratePerS: number): number {
    return (-Math.log(1 - this.random.nextFloat()) / ratePerS) * 1000
  }
}

function p95(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.95)]!
}

test.each<[string, Machine, number]>([
  ['a small model, whose steps cost little but their tokens', { baseMs: 0.3, msPerToken: 0.1 }, 0.3],
  ['half a billion parameters on two cores', { baseMs: 10, msPerToken: 1.5 }, 0.3],
  ['a billion parameters on two cores', { baseMs: 25, msPerToken: 3.7 }, 0.3],
  ['a machine that is half full without the batch', { baseMs: 10, msPerToken: 1.5 }, 0.5],
])('%s: a first token comes at most 1.15 times later, and the batch gets 85 percent of the rest', async (_, machine, share) => {
  const stepMs = machine.baseMs + machine.msPerToken * (PROMPT_TOKENS + OUTPUT_TOKENS)
  const peak = (await new VirtualMachine(machine, 1).run({ ratePerS: 0, hasBatch: true }, 200 * stepMs)).batchPerS
  const ratePerS = peak * share
  const durationMs = (NUM_CALLS / ratePerS) * 1000
  const alone = await new VirtualMachine(machine, 2).run({ ratePerS, hasBatch: false }, durationMs)
  const beside = await new VirtualMachine(machine, 2).run({ ratePerS, hasBatch: true }, durationMs)
  const later = p95(beside.firstTokenMs) / p95(alone.firstTokenMs)
  const shareOfRest = beside.batchPerS / (peak - beside.interactivePerS)
  console.log(
    `p95 ${p95(alone.firstTokenMs).toFixed(1)} -> ${p95(beside.firstTokenMs).toFixed(1)} ms: ${later.toFixed(3)}; ` +
      `batch ${peak.toFixed(2)} alone, ${beside.batchPerS.toFixed(2)} beside ${beside.interactivePerS.toFixed(2)} a second: ${shareOfRest.toFixed(3)}`,
  )
  expect(alone.firstTokenMs.length).toBeGreaterThan(NUM_CALLS * 0.7)
  expect(later).toBeLessThan(1.15)
  expect(shareOfRest).toBeGreaterThan(0.85)
})
