/** Closed-loop load over keep-alive connections in a process of its own: counts answers, times each one. */
import { connect } from 'node:net'

export interface LoadOrder {
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly numConnections: number
  readonly durationMs: number
}

export interface LoadResult {
  readonly numAnswers: number
  readonly numFailures: number
  readonly elapsedMs: number
  /** Of one answer, from the last byte sent to its last byte: milliseconds. */
  readonly latencyMs: { readonly p50: number; readonly p99: number }
}

/** The last chunk, with or without trailers. */
const LAST_CHUNK = /\r\n0\r\n(?:[^\r\n]+\r\n)*\r\n$/
const MAX_TRAILER_LENGTH = 1024

process.on('message', (order: LoadOrder) => {
  void run(order).then((result) => process.send?.(result))
})

async function run({ port, path, headers, body, numConnections, durationMs }: LoadOrder): Promise<LoadResult> {
  const fields = { host: `127.0.0.1:${port}`, 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)), ...headers }
  const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  const request = `POST ${path} HTTP/1.1\r\n${head.join('')}\r\n${body}`
  const latencies: number[] = []
  let numFailures = 0
  const start = performance.now()
  const endMs = start + durationMs
  await Promise.all(
    Array.from({ length: numConnections }, async () => {
      while (performance.now() < endMs) {
        const outcome = await useConnection(port, request, endMs, latencies)
        if (!outcome) numFailures++
      }
    }),
  )
  const sorted = latencies.toSorted((left, right) => left - right)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { numAnswers: latencies.length, numFailures, elapsedMs: performance.now() - start, latencyMs: { p50: at(0.5), p99: at(0.99) } }
}

/** True when the connection lasted to the end of the time. */
function useConnection(port: number, request: string, endMs: number, latencies: number[]): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let sentMs = 0
    let answer = new AnswerEnd()
    const send = (): void => {
      answer = new AnswerEnd()
      sentMs = performance.now()
      socket.write(request)
    }
    socket.on('connect', send).on('error', () => resolve(false))
    socket.on('close', () => resolve(performance.now() >= endMs))
    socket.on('data', (chunk: Buffer) => {
      if (!answer.add(chunk)) return
      // A refusal is no answer: its connection ends, and that is counted.
      if (answer.isOk) latencies.push(performance.now() - sentMs)
      if (performance.now() < endMs && answer.isOk) send()
      else socket.destroy()
    })
  })
}

/** Finds the end of one answer: by its length, or by the last chunk. */
class AnswerEnd {
  isOk = false
  private head = ''
  private bodyLength: number | null = null
  private numBodyBytes = 0
  private tail = ''

  add(chunk: Buffer): boolean {
    const text = chunk.toString('latin1')
    if (this.bodyLength === null) {
      this.head += text
      const end = this.head.indexOf('\r\n\r\n')
      if (end < 0) return false
      this.isOk = this.head.startsWith('HTTP/1.1 200')
      this.bodyLength = Number(/content-length: (\d+)/i.exec(this.head)?.[1] ?? -1)
      this.numBodyBytes = this.head.length - end - 4
      this.tail = this.head.slice(-MAX_TRAILER_LENGTH)
    } else {
      this.numBodyBytes += text.length
      this.tail = (this.tail + text).slice(-MAX_TRAILER_LENGTH)
    }
    return this.bodyLength >= 0 ? this.numBodyBytes >= this.bodyLength : LAST_CHUNK.test(this.tail)
  }
}
