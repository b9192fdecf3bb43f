/** A TCP client that sends exactly the bytes it is given: what no HTTP library would send. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export class RawClient {
  readonly socket: Socket
  received = ''
  closed = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      this.received += chunk
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
    })
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1' })
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Polls until `condition` holds; false after `timeoutMs`. */
  async until(condition: () => boolean, timeoutMs = 5000): Promise<boolean> {
    const deadline = performance.now() + timeoutMs
    while (!condition()) {
      if (performance.now() > deadline) return false
      await delay(5)
    }
    return true
  }

  async untilClosed(timeoutMs = 5000): Promise<boolean> {
    return this.until(() => this.closed, timeoutMs)
  }

  /** The first complete answer with a content-length. */
  async answer(timeoutMs = 5000): Promise<RawAnswer> {
    await this.until(() => this.closed || parseAnswer(this.received) !== null, timeoutMs)
    const parsed = parseAnswer(this.received)
    if (parsed === null) throw new Error(`no answer within ${timeoutMs} ms: ${JSON.stringify(this.received)}`)
    return parsed
  }

  destroy(): void {
    this.socket.destroy()
  }
}

/** Opens, sends, waits for one answer, closes. */
export async function ask(port: number, bytes: string | Uint8Array): Promise<RawAnswer> {
  const client = await RawClient.open(port)
  try {
    client.send(bytes)
    return await client.answer()
  } finally {
    client.destroy()
  }
}

export interface RawPost {
  readonly path?: string
  readonly host?: string
  readonly headers?: readonly string[]
  readonly body?: string
}

/** A well-formed POST, to be spoilt by the caller. */
export function post({ path = '/v1/chat/completions', host = 'localhost', headers = [], body = '' }: RawPost): string {
  const all = [`Host: ${host}`, 'Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`, ...headers]
  return `POST ${path} HTTP/1.1\r\n${all.join('\r\n')}\r\n\r\n${body}`
}

function parseAnswer(received: string): RawAnswer | null {
  const end = received.indexOf('\r\n\r\n')
  if (end === -1) return null
  const [statusLine = '', ...headerLines] = received.slice(0, end).split('\r\n')
  const headers = Object.fromEntries(
    headerLines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const body = received.slice(end + 4)
  const length = Number(headers['content-length'] ?? Number.NaN)
  if (Number.isNaN(length) || Buffer.byteLength(body) < length) return null
  return { status: Number(statusLine.split(' ')[1]), headers, body: Buffer.from(body).subarray(0, length).toString() }
}
