/**
 * Open-loop load for overload: requests arrive by a Poisson process whatever became of those before, each on a connection of a pool; what
 * is refused comes again as the official clients do it. Counts what was answered within its promise.
 */
import { connect, type Socket } from 'node:net'
import { SeededRandom } from '#base/random'

export interface OverloadOrder {
  readonly port: number
  readonly ratePerSecond: number
  readonly durationMs: number
  /** A good answer has its first text within this time of the call, retries and waits of the caller left out. */
  readonly promiseMs: number
  readonly seed: number
  /** Of one request, after its first try. */
  readonly maxRetries: number
}

export interface OverloadResult {
  readonly numArrivals: number
  /** Calls with every retry. */
  readonly numCalls: number
  /** Answered whole, the first text in time. */
  readonly numGood: number
  readonly numLate: number
  readonly numRefused: number
  /** Cut, answered with anything else, or not at all. */
  readonly numFailures: number
  /** From the last byte sent to the first text, of what was answered; to the last byte, of what was refused. Milliseconds. */
  readonly firstTextMs: readonly [p50: number, p99: number]
  readonly refusalMs: readonly [p50: number, p99: number]
  /** As the refusals asked for, seconds. */
  readonly retryAfterS: readonly [p50: number, p99: number]
}

type Outcome = 'answered' | 'refused' | 'failed'

interface Call {
  readonly outcome: Outcome
  readonly firstTextMs: number
  readonly tookMs: number
  readonly retryAfterS: number
}

const NUM_EVENTS = 100
/** What is open when the arrivals end may take so long. */
const LINGER_MS = 8000
/** The official clients wait as long as they are told, up to a minute. */
const MAX_RETRY_AFTER_S = 60

process.on('message', (order: OverloadOrder) => {
  void run(order).then((result) => process.send?.(result))
})

async function run(order: OverloadOrder): Promise<OverloadResult> {
  const random = new SeededRandom(order.seed)
  const pool: Socket[] = []
  const calls: Call[] = []
  const endMs = performance.now() + order.durationMs
  let numArrivals = 0
  let numOpen = 0
  const callOnce = async (numRetries: number): Promise<void> => {
    numOpen++
    const call = await callServer(order.port, pool)
    numOpen--
    calls.push(call)
    if (call.outcome !== 'refused' || numRetries >= order.maxRetries) return
    const waitMs = Math.min(call.retryAfterS, MAX_RETRY_AFTER_S) * 1000
    if (performance.now() + waitMs < endMs) setTimeout(() => void callOnce(numRetries + 1), waitMs)
  }
  let dueMs = performance.now()
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      const nowMs = performance.now()
      for (; dueMs <= nowMs && dueMs < endMs; dueMs += (-Math.log(1 - random.nextFloat()) * 1000) / order.ratePerSecond) {
        numArrivals++
        void callOnce(0)
      }
      if (nowMs < endMs) setTimeout(tick, 1)
      else if (numOpen > 0 && nowMs < endMs + LINGER_MS) setTimeout(tick, 20)
      else resolve()
    }
    tick()
  })
  for (const socket of pool) socket.destroy()
  return resultOf(order, calls, numArrivals, numOpen)
}

function resultOf(order: OverloadOrder, calls: readonly Call[], numArrivals: number, numOpen: number): OverloadResult {
  const of = (outcome: Outcome): readonly Call[] => calls.filter((call) => call.outcome === outcome)
  const answered = of('answered')
  const refused = of('refused')
  const numGood = answered.filter(({ firstTextMs }) => firstTextMs <= order.promiseMs).length
  return {
    numArrivals,
    numCalls: calls.length + numOpen,
    numGood,
    numLate: answered.length - numGood,
    numRefused: refused.length,
    numFailures: of('failed').length + numOpen,
    firstTextMs: quantiles(answered.map(({ firstTextMs }) => firstTextMs)),
    refusalMs: quantiles(refused.map(({ tookMs }) => tookMs)),
    retryAfterS: quantiles(refused.map(({ retryAfterS }) => retryAfterS)),
  }
}

function quantiles(values: readonly number[]): readonly [number, number] {
  const sorted = Float64Array.from(values).sort()
  const at = (share: number): number => Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(2))
  return [at(0.5), at(0.99)]
}

async function callServer(port: number, pool: Socket[]): Promise<Call> {
  const pooled = pool.pop()
  const socket = pooled ?? connect({ port, host: '127.0.0.1', noDelay: true })
  const { promise, resolve } = Promise.withResolvers<Call>()
  const content = String(performance.timeOrigin + performance.now())
  const body = JSON.stringify({ model: 'mock', stream: true, max_tokens: NUM_EVENTS, messages: [{ role: 'user', content }] })
  const sentMs = performance.now()
  let firstTextMs = Number.NaN
  let text = ''
  const end = (outcome: Outcome): void => {
    socket.removeAllListeners()
    if (outcome === 'failed') socket.on('error', () => {}).destroy()
    else {
      socket.on('error', () => {}).on('close', () => void pool.splice(pool.indexOf(socket) >>> 0, 1))
      pool.push(socket)
    }
    resolve({ outcome, firstTextMs, tookMs: performance.now() - sentMs, retryAfterS: Number(/retry-after: (\d+)/i.exec(text)?.[1] ?? 0) })
  }
  socket.on('error', () => end('failed')).on('close', () => end('failed'))
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    if (Number.isNaN(firstTextMs) && text.includes('"content":"t')) firstTextMs = performance.now() - sentMs
    if (text.startsWith('HTTP/1.1 200')) {
      if (text.endsWith('\r\n\r\n') && text.includes('[DONE]')) end('answered')
      return
    }
    const head = text.indexOf('\r\n\r\n')
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? Number.NaN)
    if (head > 0 && text.length >= head + 4 + length) end(/^HTTP\/1.1 (429|503)/.test(text) ? 'refused' : 'failed')
  })
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  )
  return promise
}
