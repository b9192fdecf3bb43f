import { afterEach, expect, test, vi } from 'vitest'
import { systemClock, type Clock } from '#base/clock'
import { GrammarCompiler, type GrammarCompilerOptions } from './grammar-compiler.ts'
import type { OutputSpec } from './output-spec.ts'

const never = new AbortController().signal

function choiceSpec(...choices: string[]): OutputSpec {
  return { format: { kind: 'choice', choices }, tools: null, reasoning: null }
}

/** Seconds of work: what is said of its time is said before it is done. */
const SLOW: OutputSpec = {
  ...choiceSpec(),
  format: {
    kind: 'json-schema',
    schema: {
      type: 'object',
      properties: Object.fromEntries(
        Array.from({ length: 600 }, (_, index) => [`p${index}`, { type: 'number', minimum: index + 0.123, maximum: 1e6 + index }]),
      ),
    },
    whitespace: 'none',
  },
}

const open: GrammarCompiler[] = []

function makeCompiler(options: Partial<GrammarCompilerOptions> = {}): GrammarCompiler {
  const compiler = new GrammarCompiler({
    maxCompileMs: 60_000,
    maxWaitMs: 120_000,
    maxStartMs: 60_000,
    maxJobs: 4,
    maxQueuedLength: 1_000_000,
    maxHeapMb: 128,
    clock: systemClock,
    ...options,
  })
  open.push(compiler)
  return compiler
}

afterEach(async () => {
  for (const compiler of open.splice(0)) await compiler.close()
})

/** A clock whose waits of `durationMs` end when told to. */
class HeldClock implements Clock {
  readonly waits: { readonly durationMs: number; readonly end: () => void }[] = []
  timeMs = 0
  nowMs = (): number => this.timeMs
  wallMs = (): number => 0

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wait = { durationMs, end: resolve }
      this.waits.push(wait)
      signal?.addEventListener('abort', () => {
        this.waits.splice(this.waits.indexOf(wait), 1)
        reject(signal.reason as Error)
      })
    })
  }

  endAll(durationMs: number): void {
    for (const wait of this.waits.filter((other) => other.durationMs === durationMs)) wait.end()
  }
}

test('jobs are compiled one after the other, and a refused one leaves the others alone', async () => {
  const compiler = makeCompiler()
  const refused = compiler.compile({ format: { kind: 'regex', pattern: '(' }, tools: null, reasoning: null }, never)
  const compiled = compiler.compile(choiceSpec('yes', 'no'), never)
  await expect(refused).rejects.toMatchObject({ code: 'invalid_parameter', param: 'output.format' })
  expect((await compiled).numStates).toBeGreaterThan(2)
})

test('a job more than may wait is refused as overloaded', async () => {
  const compiler = makeCompiler({ maxJobs: 2 })
  const jobs = [1, 2].map((index) => compiler.compile(choiceSpec(`${index}`), never))
  await expect(compiler.compile(choiceSpec('3'), never)).rejects.toMatchObject({ code: 'overloaded' })
  expect(await Promise.all(jobs)).toHaveLength(2)
  await compiler.compile(choiceSpec('4'), never)
})

test('jobs whose sources are too long together are refused as overloaded, and make room when they end', async () => {
  const compiler = makeCompiler({ maxQueuedLength: 10_000 })
  const long = choiceSpec('x'.repeat(6000))
  const first = compiler.compile(long, never)
  await expect(compiler.compile(long, never)).rejects.toMatchObject({ code: 'overloaded' })
  const controller = new AbortController()
  const short = compiler.compile(choiceSpec('y'.repeat(3000)), controller.signal)
  controller.abort()
  await expect(short).rejects.toMatchObject({ code: 'cancelled' })
  const other = compiler.compile(choiceSpec('y'.repeat(3000)), never)
  await Promise.all([first, other])
  await compiler.compile(long, never)
})

/** Compiles one job, so that the thread is there; whoever asks then is told that the next has used `ms` of the processor. */
async function compilerWithUsage(clock: HeldClock, usage: { ms: number }): Promise<GrammarCompiler> {
  // What the thread has used before is at most seconds.
  const cpuMsOf = (): Promise<number> => Promise.resolve(usage.ms)
  const compiler = makeCompiler({ maxCompileMs: 900, maxWaitMs: 10_000, maxStartMs: 30_000, clock, cpuMsOf })
  await compiler.compile(choiceSpec('warm'), never)
  return compiler
}

test('a job that passes its processor time is refused with its thread, and the next one gets a new thread', async () => {
  const clock = new HeldClock()
  const compiler = await compilerWithUsage(clock, { ms: 1e9 })
  const late = compiler.compile(SLOW, never)
  const next = compiler.compile(choiceSpec('next'), never)
  clock.endAll(900)
  await expect(late).rejects.toMatchObject({ code: 'invalid_parameter', message: expect.stringContaining('900 ms') as string })
  expect((await next).matchesEmpty).toBe(false)
})

test('a job that the machine keeps waiting is looked at again, and refused as overloaded in the end', async () => {
  const clock = new HeldClock()
  const usage = { ms: 0 }
  const compiler = await compilerWithUsage(clock, usage)
  const slow = compiler.compile(SLOW, never)
  clock.endAll(900)
  // It has used less than nothing since it was started: the rest of its time is longer than the whole.
  const again = await vi.waitUntil(() => clock.waits.find(({ durationMs }) => durationMs > 900 && durationMs < 30_000), { timeout: 20_000 })
  clock.timeMs = 10_000
  again.end()
  await expect(slow).rejects.toMatchObject({ code: 'overloaded' })
})

test('a thread that does not start in time fails the job as a bug of ours', async () => {
  const clock = new HeldClock()
  const compiler = makeCompiler({ maxStartMs: 30_000, clock })
  const job = compiler.compile(choiceSpec('a'), never)
  clock.endAll(30_000)
  await expect(job).rejects.toMatchObject({ code: 'internal' })
})

test('an aborted job is rejected at once and makes room', async () => {
  const compiler = makeCompiler({ maxJobs: 2 })
  const first = compiler.compile(choiceSpec('1'), never)
  const controller = new AbortController()
  const waiting = compiler.compile(choiceSpec('2'), controller.signal)
  controller.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
  const third = compiler.compile(choiceSpec('3'), never)
  expect(await Promise.all([first, third])).toHaveLength(2)
})

test('closing rejects what waits and takes nothing more', async () => {
  const compiler = makeCompiler()
  const jobs = [1, 2].map((index) => compiler.compile(choiceSpec(`${index}`), never))
  const outcomes = Promise.allSettled(jobs)
  await compiler.close()
  for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'shutting_down' } })
  await expect(compiler.compile(choiceSpec('3'), never)).rejects.toMatchObject({ code: 'shutting_down' })
})

test('an answer that is under way when the compiler closes finds nobody', async () => {
  const compiler = makeCompiler()
  await compiler.compile(choiceSpec('warm'), never)
  const job = compiler.compile(SLOW, never)
  const outcome = Promise.allSettled([job])
  // The thread answers while this one stands still; its messages are read when it ends.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  await compiler.close()
  expect(await outcome).toMatchObject([{ status: 'rejected', reason: { code: 'shutting_down' } }])
})

test('a job whose caller has gone before it came is refused and takes no place', async () => {
  const compiler = makeCompiler({ maxJobs: 1 })
  await expect(compiler.compile(choiceSpec('a'), AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' })
  expect((await compiler.compile(choiceSpec('b'), never)).matchesEmpty).toBe(false)
})

test('a thread that runs out of memory refuses its job, and the next one gets a new thread', async () => {
  const compiler = makeCompiler({ maxHeapMb: 24 })
  const large = compiler.compile({ format: { kind: 'regex', pattern: '(?:\\p{L}-){1,300}' }, tools: null, reasoning: null }, never)
  const next = compiler.compile(choiceSpec('next'), never)
  await expect(large).rejects.toMatchObject({ code: 'invalid_parameter', message: expect.stringContaining('24 MB') as string })
  expect((await next).matchesEmpty).toBe(false)
})
