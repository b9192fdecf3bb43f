/**
 * All dialects at once against a real server with the shipped model: whole and streamed, a fifth abandoned at a random moment, some of them
 * bad. Afterwards nothing is left but the ledger: one record for each call that was answered, with the cost that its answer told.
 *
 * INFERD_SOAK_MINUTES makes it long.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { bodyWith, dialectTargets, type DialectTarget } from '../conformance/dialect-targets.ts'
import { InferdProcess } from './inferd-process.ts'
import { picosOf, readLedger } from './ledger-rows.ts'
import { TwoProtocolClient } from './two-protocol-client.ts'

const MODEL = 'inferd-chat'
const TARGETS = dialectTargets(MODEL)
const MINUTES = Number(process.env['INFERD_SOAK_MINUTES'] ?? 0)
const NUM_REQUESTS = 1000
const NUM_WARM_UP_REQUESTS = 500
/** A long run leaves the machine to others. */
const CONCURRENCY = MINUTES === 0 ? 16 : 3
const ABORTED_SHARE = 0.2
const MAX_ABORT_DELAY_MS = 100
const BAD_SHARE = 0.05
/** As in soak.test.ts: 1.00 to 1.05 as it is. */
const MAX_MEMORY_GROWTH = 1.12
const NARROW_HEAP = { NODE_OPTIONS: '--max-old-space-size=64' }
const TIMEOUT_MS = 300_000 + MINUTES * 60_000

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-soak-'))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Fate = 'answered' | 'refused' | 'abandoned'

interface SentCall {
  readonly fate: Fate
  /** Picodollars, as the answer told; null = it did not. */
  readonly cost: bigint | null
}

interface Run {
  readonly calls: Map<string, SentCall>
  readonly problems: string[]
}

test(
  'a mix of all dialects leaves nothing behind but one record for each answer, with the cost that it told',
  async () => {
    const file = path.join(folder, 'inferd.yaml')
    // So far apart that a cost tells the tokens of both kinds.
    writeFileSync(file, `prices:\n  ${MODEL}: { input: 1, cachedInput: 0.001, output: 1000 }\n`)
    const args = ['--log-level', 'error', '--data-dir', folder, '--config', file]
    await using server = await (await InferdProcess.startWith(NARROW_HEAP, ...args)).ready()
    const random = new SeededRandom(11)
    const run: Run = { calls: new Map(), problems: [] }
    await sendMix(server, random, run, () => run.calls.size < NUM_WARM_UP_REQUESTS)
    const before = await footprint(server)
    const samples = [before]
    const endMs = performance.now() + MINUTES * 60_000
    const numUntil = run.calls.size + NUM_REQUESTS
    await sendMix(server, random, run, () => run.calls.size < numUntil && MINUTES === 0)
    while (performance.now() < endMs) {
      const minuteMs = performance.now() + 60_000
      await sendMix(server, random, run, () => performance.now() < minuteMs)
      samples.push(await footprint(server))
      process.stderr.write(`${JSON.stringify({ requests: run.calls.size, ...samples.at(-1)! })}\n`)
    }
    const after = await footprint(server)
    expect(run.problems).toEqual([])
    expect(after.files).toEqual(before.files)
    const measured = JSON.stringify({ before, after })
    for (const [index, bytes] of after.bytes.entries()) expect(bytes / before.bytes[index]!, measured).toBeLessThan(MAX_MEMORY_GROWTH)
    expect((await fetch(`${server.baseUrl}/readyz`)).status).toBe(200)
    await expectTrueLedger(server, run)
  },
  TIMEOUT_MS,
)

/** Runs a fixed number of clients as long as there is `more`. */
async function sendMix(server: InferdProcess, random: SeededRandom, run: Run, more: () => boolean): Promise<void> {
  using client = new TwoProtocolClient(server.baseUrl)
  const sendInTurn = async (): Promise<void> => {
    while (more()) await sendOne(client, random, run)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, sendInTurn))
}

async function sendOne(client: TwoProtocolClient, random: SeededRandom, { calls, problems }: Run): Promise<void> {
  const target = TARGETS[random.nextInt(TARGETS.length)]!
  const id = `soak-${calls.size}`
  calls.set(id, { fate: 'abandoned', cost: null })
  const isBad = target.maxTokens !== null && random.nextFloat() < BAD_SHARE
  const body = isBad ? bodyWith(target, target.maxTokens!, '"ten"') : bodyOf(target, random)
  const controller = new AbortController()
  const timer = random.nextFloat() < ABORTED_SHARE ? setTimeout(() => controller.abort(), random.nextFloat() * MAX_ABORT_DELAY_MS) : undefined
  const posted = { path: target.path, headers: { ...target.headers, 'x-request-id': id }, body }
  try {
    const overHttp2 = target.dialect === 'bedrock' || random.nextInt(4) === 0
    const { status, headers, bytes } = await (overHttp2 ? client.postOverHttp2(posted, controller.signal) : client.post(posted, controller.signal))
    // An HTTP/2 stream that is reset may end without an error.
    if (controller.signal.aborted) return
    const cost = headers['x-inferd-cost-usd']
    calls.set(id, { fate: isBad ? 'refused' : 'answered', cost: typeof cost === 'string' ? picosOf(cost) : null })
    const isRight = isBad ? status >= 400 && status < 500 : status === 200 && cost !== undefined
    if (!isRight) problems.push(`${target.path} ${body}: ${status} ${JSON.stringify(headers)} ${bytes.toString('latin1').slice(0, 300)}`)
  } catch (error) {
    if (!controller.signal.aborted) problems.push(`${target.path}: ${String(error)}`)
  } finally {
    clearTimeout(timer)
  }
}

const WORDS = ['fox', 'river', 'Paris', 'seven', 'the', 'lazy', 'dog', 'größer', '東京', '🦊', 'story', 'once']

/** The good body with other words, and another length of the answer. */
function bodyOf(target: DialectTarget, random: SeededRandom): string {
  const words = Array.from({ length: 1 + random.nextInt(random.nextInt(20) === 0 ? 200 : 10) }, () => WORDS[random.nextInt(WORDS.length)]).join(' ')
  const length = String(1 + Math.min(random.nextInt(24), random.nextInt(24)))
  const body = target.maxTokens === null ? JSON.stringify(target.body) : bodyWith(target, target.maxTokens, length)
  return body.replace('"hi"', JSON.stringify(words))
}

interface Footprint {
  /** Of gateway and worker. */
  readonly files: readonly number[]
  readonly bytes: readonly number[]
}

/** What the two processes hold once the server is idle; fails when it does not become idle. */
async function footprint(server: InferdProcess): Promise<Footprint> {
  await expect.poll(() => server.load(), { timeout: 10_000 }).toMatchObject({ running: 0, waiting: 0 })
  const { kvBlocks, kvBlocksFree } = await server.load()
  expect(kvBlocksFree).toBe(kvBlocks)
  await sleep(500)
  const pids = [server.pid, server.workerPids()[0]!]
  return { files: pids.map((pid) => server.numOpenFiles(pid)), bytes: pids.map((pid) => server.residentBytes(pid)) }
}

/** Answered calls have one record with their cost, abandoned ones at most one, refused ones none. */
async function expectTrueLedger(server: InferdProcess, { calls }: Run): Promise<void> {
  // Asking makes it write what it has.
  await (await fetch(`${server.baseUrl}/inferd/v1/usage`)).text()
  const rows = readLedger(folder)
  const byId = Map.groupBy(rows, ({ requestId }) => requestId)
  const wrong = [...calls].filter(([id, { fate, cost }]) => {
    const records = byId.get(id) ?? []
    if (fate === 'refused') return records.length > 0
    if (fate === 'abandoned') return records.length > 1
    return records.length !== 1 || records[0]!.error !== null || records[0]!.cost !== cost
  })
  expect(wrong.map(([id, call]) => ({ id, ...call, records: byId.get(id) }))).toEqual([])
  expect([...byId.keys()].filter((id) => !calls.has(id))).toEqual([])
  const fates = Map.groupBy(calls.values(), ({ fate }) => fate)
  expect(fates.get('answered')!.length).toBeGreaterThan(calls.size * 0.6)
  expect(fates.get('abandoned')!.length).toBeGreaterThan(calls.size * ABORTED_SHARE * 0.25)
}
