/**
 * Structured output for long: formats, calls and reasoning mixed on a KV cache that is too small for them, a third abandoned after some
 * chunks; then a thousand schemas that are never asked for again. Afterwards nothing may be left.
 */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdProcess, serverSentEvents } from './inferd-process.ts'

const NUM_REQUESTS = 600
const NUM_WARM_UP_REQUESTS = 150
const NUM_SCHEMAS = 1000
/** Most that may wait to be compiled is more. */
const CONCURRENCY = 24
/** A narrow heap is collected often, so that resident memory follows what is really held. */
const NARROW_HEAP = { NODE_OPTIONS: '--max-old-space-size=64' }
/** Room for 16 answers of this mix, so that sequences are preempted and computed again. */
const SMALL_CACHE = ['--log-level', 'warn', '--ctx', '512', '--kv-cache-mib', '2']
/** Resident memory of each process afterwards against that after the warm-up. */
const MAX_MEMORY_GROWTH = 1.25
/** Far above what it needs: a busy machine is no leak. */
const TIMEOUT_MS = 400_000

type Body = Readonly<Record<string, unknown>>

interface Outcomes {
  completed: number
  cut: number
  abandoned: number
  readonly failures: string[]
}

const word = { type: 'string', maxLength: 6 }
const TOOLS = [
  { type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: { city: word }, required: ['city'] } } },
]
const FORMATS: readonly Body[] = [
  { tools: TOOLS },
  { tools: TOOLS, tool_choice: 'required' },
  { chat_template_kwargs: { enable_thinking: true }, reasoning_budget_tokens: 5, guided_regex: '[a-f]{4,60}' },
  { response_format: { type: 'json_object' } },
  { guided_json: { type: 'object', properties: { a: word, b: { type: 'integer', minimum: 0, maximum: 99 } }, required: ['a', 'b'] } },
  { guided_json: { type: 'array', items: { enum: ['é', '是', '🦊', 7, null] }, minItems: 2, maxItems: 9 } },
  {
    guided_json: {
      $ref: '#/$defs/n',
      $defs: { n: { type: 'object', properties: { v: { type: 'boolean' }, n: { $ref: '#/$defs/n' } }, required: ['v'] } },
    },
  },
  { guided_regex: '[a-f]{4,60}-\\d{2}' },
  { guided_choice: ['red', 'green', 'blue'] },
  { grammar: 'root ::= item{1,12}\nitem ::= "<" [a-z]{1,5} ">"' },
  { guided_json: { type: 'string', format: 'date-time' } },
  {},
]

test(
  'after 600 mixed requests on a small cache, a third abandoned, blocks, sequences and memory are as before, and the worker is the first one',
  async () => {
    await using server = await (await InferdProcess.startWith(NARROW_HEAP, ...SMALL_CACHE)).ready()
    const [workerPid] = server.workerPids()
    const random = new SeededRandom(41)
    const warmUp = await inTurns(NUM_WARM_UP_REQUESTS, server, () => mixedRequest(random))
    const before = await footprint(server)
    const outcomes = await inTurns(NUM_REQUESTS, server, () => mixedRequest(random))
    const after = await footprint(server)
    expect([...warmUp.failures, ...outcomes.failures]).toEqual([])
    expect(outcomes.completed).toBeGreaterThan(NUM_REQUESTS / 3)
    expect(outcomes.cut).toBeGreaterThan(10)
    expect(outcomes.abandoned).toBeGreaterThan(NUM_REQUESTS / 10)
    expect(server.workerPids()).toEqual([workerPid])
    expectBounded(before, after)
  },
  TIMEOUT_MS,
)

test(
  'a thousand schemas through one server leave its memory bounded, and the worker is the first one',
  async () => {
    await using server = await (await InferdProcess.startWith(NARROW_HEAP, ...SMALL_CACHE)).ready()
    const [workerPid] = server.workerPids()
    let numSchemas = 0
    const next = (): Body => ({ guided_json: largeSchema(numSchemas++), max_tokens: 3, temperature: 1, seed: 1 })
    const half = await inTurns(NUM_SCHEMAS / 2, server, next)
    const before = await footprint(server)
    const rest = await inTurns(NUM_SCHEMAS / 2, server, next)
    const after = await footprint(server)
    expect([...half.failures, ...rest.failures]).toEqual([])
    expect(numSchemas).toBe(NUM_SCHEMAS)
    expect(server.workerPids()).toEqual([workerPid])
    expectBounded(before, after)
  },
  TIMEOUT_MS,
)

/** Its grammar takes about 100 kB, so that half a thousand fill the cache of a tenant. */
function largeSchema(index: number): Body {
  return { type: 'object', properties: { [`key ${index}`]: { enum: Array.from({ length: 150 }, (_, value) => `${value * 7919 + index} of many`) } } }
}

function mixedRequest(random: SeededRandom): Body {
  const pick = (bound: number): number => random.nextInt(bound)
  return {
    ...FORMATS[pick(FORMATS.length)],
    max_tokens: 1 + pick(pick(3) === 0 ? 200 : 60),
    temperature: pick(2) * 1.5,
    seed: pick(1000),
    ...(pick(5) === 0 ? { n: 2 } : {}),
    ...(pick(6) === 0 ? { logprobs: true, top_logprobs: 1 } : {}),
    ...(pick(6) === 0 ? { cache_salt: `tenant ${pick(4)}` } : {}),
    stream: true,
    // Chunks after which the client goes; most answers are shorter than the longest.
    ...(pick(3) === 0 ? { user: `leaves after ${pick(30)}` } : {}),
  }
}

/** Runs the requests with a fixed number of clients at a time. */
async function inTurns(numRequests: number, server: InferdProcess, next: () => Body): Promise<Outcomes> {
  const outcomes: Outcomes = { completed: 0, cut: 0, abandoned: 0, failures: [] }
  let numSent = 0
  const sendInTurn = async (): Promise<void> => {
    while (numSent++ < numRequests) await send(server, next(), outcomes)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, sendInTurn))
  return outcomes
}

async function send(server: InferdProcess, fields: Body, outcomes: Outcomes): Promise<void> {
  const body = { model: 'inferd-chat', messages: [{ role: 'user', content: 'Tell me a short story about a fox.' }], ...fields, stream: true }
  const leavesAfter = Number(/\d+/.exec(typeof fields['user'] === 'string' ? fields['user'] : '')?.[0] ?? Infinity)
  const controller = new AbortController()
  const response = await server.post('/v1/chat/completions', body, { signal: controller.signal })
  if (response.status !== 200) {
    outcomes.failures.push(`${response.status} ${await response.text()} for ${JSON.stringify(fields)}`)
    return
  }
  const problem = await readStream(response, leavesAfter)
  if (problem === 'left') {
    controller.abort()
    outcomes.abandoned++
  } else if (problem === 'length') outcomes.cut++
  else if (problem === 'stop' || problem === 'tool_calls') outcomes.completed++
  else outcomes.failures.push(`${problem} for ${JSON.stringify(fields)}`)
}

/** How the stream ended, or `left` after so many chunks; anything else is a fault. */
async function readStream(response: Response, leavesAfter: number): Promise<string> {
  let numChunks = 0
  let end = 'no finish reason'
  for await (const event of serverSentEvents(response)) {
    if (event === '[DONE]') return end
    if ('error' in event) return JSON.stringify(event)
    const [choice] = (event as unknown as { readonly choices: readonly { readonly finish_reason: string | null }[] }).choices
    end = choice?.finish_reason ?? end
    if (numChunks++ >= leavesAfter) return 'left'
  }
  return 'the stream closed without [DONE]'
}

interface Footprint {
  readonly gatewayBytes: number
  readonly workerBytes: number
}

/** What the two processes hold once the server is idle; fails when it does not become idle. */
async function footprint(server: InferdProcess): Promise<Footprint> {
  await expect.poll(() => server.load(), { timeout: 20_000 }).toMatchObject({ running: 0, waiting: 0 })
  const { kvBlocks, kvBlocksFree } = await server.load()
  expect(kvBlocksFree).toBe(kvBlocks)
  return { gatewayBytes: server.residentBytes(), workerBytes: server.residentBytes(server.workerPids()[0]) }
}

function expectBounded(before: Footprint, after: Footprint): void {
  const measured = JSON.stringify({ before, after })
  expect(after.gatewayBytes / before.gatewayBytes, measured).toBeLessThan(MAX_MEMORY_GROWTH)
  expect(after.workerBytes / before.workerBytes, measured).toBeLessThan(MAX_MEMORY_GROWTH)
}
