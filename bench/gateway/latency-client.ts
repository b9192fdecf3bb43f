/**
 * Open-loop load: requests arrive by a Poisson process, each on a connection of a pool, and every piece of text tells when it left the
 * model. Collects how long requests take to the model and pieces take from it.
 */
import { connect, type Socket } from 'node:net'

export interface LatencyOrder {
  readonly port: number
  readonly ratePerSecond: number
  readonly durationMs: number
  /** From one text of a stream to the next. */
  readonly paceMs: number
  readonly model: string
}

export interface LatencyResult {
  readonly numRequests: number
  readonly numFailures: number
  readonly numPieces: number
  readonly numConnections: number
  /** Milliseconds. */
  readonly requestMs: readonly [p50: number, p99: number]
  readonly pieceMs: readonly [p50: number, p99: number]
}

/** For the streams that are open when no more arrive. */
const MAX_DRAIN_MS = 60_000

const now = (): number => performance.timeOrigin + performance.now()

class Samples {
  private readonly values: number[] = []
  add(value: number): void {
    this.values.push(value)
  }
  get count(): number {
    return this.values.length
  }
  quantiles(): readonly [number, number] {
    const sorted = Float64Array.from(this.values).sort()
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    return [at(0.5), at(0.99)]
  }
}

process.on('message', (order: LatencyOrder) => {
  void run(order).then((result) => process.send?.(result))
})

async function run({ port, ratePerSecond, durationMs, paceMs, model }: LatencyOrder): Promise<LatencyResult> {
  const requests = new Samples()
  const pieces = new Samples()
  const idle: Socket[] = []
  let numConnections = 0
  let numRunning = 0
  let numFailures = 0
  let numRequests = 0
  const startOne = (socket: Socket): void => {
    const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: `${now()} ${paceMs}` }] })
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    let tail = ''
    let isDone = false
    numRunning++
    socket.removeAllListeners('data')
    socket.on('data', (chunk: Buffer) => {
      const receivedMs = now()
      const text = tail + chunk.toString('latin1')
      for (const match of text.matchAll(/([st])(\d+\.\d{4});/g)) {
        if (match[1] === 't') requests.add(Number(match[2]))
        else pieces.add(receivedMs - Number(match[2]))
      }
      // What may be the beginning of a mark, but no whole one.
      tail = text.slice(Math.max(text.lastIndexOf(';') + 1, text.length - 40))
      isDone ||= text.includes('[DONE]')
      // Behind the last chunk, and behind the trailers.
      if (!isDone || !text.endsWith('\r\n\r\n')) return
      numRunning--
      idle.push(socket)
    })
    socket.write(head + body)
  }
  const arrive = (): void => {
    numRequests++
    const free = idle.pop()
    if (free !== undefined) return startOne(free)
    numConnections++
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => startOne(socket))
    socket.on('error', () => numFailures++)
  }
  const startMs = performance.now()
  let dueMs = startMs
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      const nowMs = performance.now()
      while (dueMs <= nowMs && dueMs < startMs + durationMs) {
        arrive()
        dueMs += (-Math.log(1 - Math.random()) * 1000) / ratePerSecond
      }
      if (nowMs < startMs + durationMs) setTimeout(tick, 1)
      else if (numRunning > 0 && nowMs < startMs + durationMs + MAX_DRAIN_MS) setTimeout(tick, 20)
      else resolve()
    }
    tick()
  })
  for (const socket of idle) socket.destroy()
  return {
    numRequests,
    numFailures: numFailures + numRunning,
    numPieces: pieces.count,
    numConnections,
    requestMs: requests.quantiles(),
    pieceMs: pieces.quantiles(),
  }
}
