/** `inferd bench` as a user types it, against a scripted model: what is sent, what is told, and how it ends. */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { type FakeModel, sayWords, type Script } from '../conformance/fake-model.ts'
import { startTestServer, type TestServer } from '../conformance/test-server.ts'
import { runInferd } from './run-inferd.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-bench-'))
const json = path.join(folder, 'report.json')
/** Two requests see what words cost. */
const NUM_FITTING = 2
const ANSWER = sayWords(['one', 'two', 'three', 'four'])

let target: TestServer
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer()
  model = target.model
})

beforeEach(() => {
  model.requests.length = 0
  model.script = ANSWER
})

afterEach(() => rmSync(json, { force: true }))

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
  rmSync(folder, { recursive: true })
})

interface Level {
  readonly load: object
  readonly numAnswered: number
  readonly errors: readonly object[]
}

function written(): { readonly levels: readonly Level[]; readonly [field: string]: unknown } {
  return JSON.parse(readFileSync(json, 'utf8'))
}

const bench = (...args: string[]) => runInferd(['bench', '--url', target.url, '--json', json, ...args])

test('levels of both kinds are measured and told as table, JSON, page and charts', async () => {
  const [html, svg] = [path.join(folder, 'report.html'), path.join(folder, 'report.svg')]
  const levels = ['--concurrency', '1,3', '--rate', 'inf,500', '--requests', '6', '--warmup', '2']
  const result = await bench(...levels, '--prompt-tokens', '12', '--output-tokens', '3', '--slo', 'ttft:60000', '--html', html, '--svg', svg)
  expect(result).toMatchObject({ exitCode: 0, stderr: '' })
  expect(result.stdout).toMatch(/^fake\/model at http.*\n12 prompt and at most 3 output tokens, streamed, 2 requests of warm-up, seed \d+\n/)
  expect(result.stdout).toMatch(/\n3 at a time +6 +0 /)
  const report = written()
  expect(report).toMatchObject({ tool: 'inferd bench', isPartial: false, model: 'fake/model', endpoint: 'chat' })
  expect(report.levels.map(({ load }) => load)).toEqual([
    { kind: 'closed', concurrency: 1 },
    { kind: 'closed', concurrency: 3 },
    { kind: 'open', ratePerS: 'inf', process: 'poisson' },
    { kind: 'open', ratePerS: 500, process: 'poisson' },
  ])
  for (const level of report.levels) {
    // The script says 7 tokens of prompt, and three words of its four.
    expect(level).toMatchObject({ numAnswered: 6, numFailed: 0, numPromptTokens: 42, numOutputTokens: 18, goodShare: 1, isUsageTold: true })
    expect(level).toMatchObject({ ttftMs: { count: 6 }, tpotMs: { count: 6 }, itlMs: { count: 12 }, e2eMs: { count: 6 } })
  }
  expect(readFileSync(html, 'utf8')).toMatch(/^<!doctype html>[^]*<svg [^]*by load, tokens\/s[^]*<\/html>\n$/)
  expect(readFileSync(svg, 'utf8')).toMatch(/^<svg .*<\/svg>\n$/s)
  expect(model.requests).toHaveLength(NUM_FITTING + 2 + 4 * 6)
  expect(model.requests.at(-1)).toMatchObject({ maxTokens: 3, ignoreEos: true })
  // Of no request is the prompt in the prefix cache because of another one.
  expect(new Set(model.requests.map(({ input }) => JSON.stringify(input))).size).toBe(model.requests.length)
})

test('the same seed sends the same prompts, of exact length where ids are asked for', async () => {
  const args = ['--requests', '3', '--concurrency', '1', '--warmup', '0', '--prompt-ids', '10-90', '--prompt-tokens', '5-9', '--prefix-tokens', '4']
  const prompts: string[] = []
  for (const seed of ['7', '7', '8']) {
    model.requests.length = 0
    expect(await bench(...args, '--seed', seed)).toMatchObject({ exitCode: 0 })
    const ids = model.requests.slice(1).map(({ input }) => (input.kind === 'tokens' ? input.tokenIds : []))
    expect(ids).toHaveLength(3)
    expect(ids.every(({ length }) => length >= 9 && length <= 13)).toBe(true)
    expect(new Set(ids.map((each) => each.slice(0, 4).join())).size).toBe(1)
    prompts.push(JSON.stringify(ids))
  }
  expect(prompts[0]).toBe(prompts[1])
  expect(prompts[0]).not.toBe(prompts[2])
})

test('whole answers have one latency; what the model asks for itself can be added', async () => {
  const result = await bench('--no-stream', '--concurrency', '2', '--requests', '4', '--no-ignore-eos', '--extra-body', '{"top_p":0.5}', '--explain')
  expect(result.exitCode).toBe(0)
  expect(result.stdout).not.toMatch(/^.{14}ITL/m)
  expect(result.stdout).toContain('(E2E - TTFT) / (output tokens - 1)')
  expect(written().levels).toMatchObject([{ numAnswered: 4, ttftMs: null, tpotMs: null, itlMs: null, e2eMs: { count: 4 } }])
  expect(model.deliveries.at(-1)).toBe('whole')
  expect(model.requests.at(-1)).toMatchObject({ ignoreEos: false, sampling: { topP: 0.5 } })
})

/** Answers the requests that come first, and then fails each second one, and each fourth one in the middle of its stream. */
function failing(numGood: number): Script {
  return async function* (request, signal) {
    const turn = model.requests.length - numGood
    if (turn > 0 && turn % 4 === 1) throw new InferdError('overloaded', 'too much to do')
    for await (const event of ANSWER(request, signal)) {
      if (turn > 0 && turn % 4 === 3 && event.type === 'choice-end') throw new InferdError('internal', 'broken inside')
      yield event
    }
  }
}

test('failures are counted by kind with the words of the first, and do not stop the run', async () => {
  model.script = failing(NUM_FITTING)
  const result = await bench('--concurrency', '1', '--requests', '8', '--warmup', '0')
  expect(result.exitCode).toBe(0)
  const [level] = written().levels
  expect(level).toMatchObject({ numAnswered: 4, numFailed: 4 })
  expect(level!.errors).toMatchObject([
    { kind: 'http 503', count: 2, words: 'too much to do' },
    { kind: 'error in stream', count: 2 },
  ])
  expect(result.stdout).toContain('1 at a time: 2 x http 503, the first: too much to do')
})

test('a request has a deadline, and without one answer the command fails behind its report', async () => {
  model.script = async function* (request, signal) {
    if (model.requests.length <= NUM_FITTING) return yield* ANSWER(request, signal)
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 0 }
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
  }
  const result = await bench('--concurrency', '2', '--requests', '2', '--warmup', '0', '--timeout', '0.2')
  expect(result).toMatchObject({ exitCode: 1, stderr: 'inferd: no request was answered\n' })
  expect(written().levels).toMatchObject([{ numAnswered: 0, numFailed: 2, errors: [{ kind: 'timeout', count: 2, words: 'no end within 0.2 s' }] }])
  expect(result.stdout).toContain('2 x timeout')
})

test('an interrupt ends in a report of what was measured until then, marked as partial, and code 130', async () => {
  const numGood = 12
  let child: ChildProcess | null = null
  model.script = async function* (request, signal) {
    if (model.requests.length <= numGood) return yield* ANSWER(request, signal)
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 0 }
    child?.kill('SIGINT')
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
  }
  const args = ['bench', '--url', target.url, '--json', json, '--concurrency', '1,50', '--requests', '1000', '--warmup', '0']
  const result = await runInferd(args, { onStart: (started) => (child = started) })
  expect(result).toMatchObject({ exitCode: 130, stderr: 'inferd: stopped by SIGINT\n' })
  expect(result.stdout).toContain('\nPARTIAL: stopped by SIGINT\n')
  expect(result.stdout).toContain('1 at a time (partial)')
  const report = written()
  expect(report).toMatchObject({ isPartial: true, partialReason: 'stopped by SIGINT' })
  expect(report.levels).toMatchObject([{ isPartial: true, numAnswered: numGood - NUM_FITTING, numFailed: 0, numCancelled: 1 }])
  await expect.poll(() => model.numRunning).toBe(0)
})

test('JSON goes to standard output alone where it is asked for', async () => {
  const { stdout } = await runInferd(['bench', '--url', `${target.url}/v1`, '--requests', '2', '--concurrency', '1', '--json', '-'])
  expect(JSON.parse(stdout)).toMatchObject({ tool: 'inferd bench', levels: [{ numAnswered: 2 }] })
})

test('what cannot be measured is told in one sentence, before anything is measured', async () => {
  const refusals: readonly (readonly [readonly string[], string])[] = [
    [['--url', 'http://127.0.0.1:9'], 'no server answers at http://127.0.0.1:9'],
    [['--url', 'http://127.0.0.1:9', '--model', 'x'], 'the first request failed (connection): '],
    [['--url', target.url, '--model', 'other'], 'the first request failed (http 404): the model "other" does not exist'],
    [['--url', target.url, '--rate', '0'], "--rate must be a number above 0 and at most 100000, not '0'"],
    [['--url', target.url, '--html', '/nowhere/at/all.html'], 'cannot write to the folder of /nowhere/at/all.html'],
  ]
  for (const [args, sentence] of refusals) {
    const result = await runInferd(['bench', ...args])
    expect(result).toMatchObject({ exitCode: 1, stdout: '' })
    expect(result.stderr.startsWith(`inferd: ${sentence}`), result.stderr).toBe(true)
  }
  expect(model.requests).toHaveLength(0)
})
