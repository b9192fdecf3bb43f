/** One request over a bare socket, and the whole answer to it. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { wireBytes, type WireMessage } from './wire-fixture.ts'

/** What differs from run to run and says nothing of a dialect. */
const VOLATILE_HEADERS = /^Date: /

/** The coding of HTTP/1.1, whose pieces are cut by the turns of the event loop. */
const CHUNKED = 'Transfer-Encoding: chunked'

const DEADLINE_MS = 20_000

export async function exchange(port: number, request: WireMessage): Promise<WireMessage> {
  const socket = connect({ port, host: '127.0.0.1' })
  const pieces: Buffer[] = []
  try {
    await once(socket, 'connect')
    socket.setTimeout(DEADLINE_MS, () => socket.destroy(new Error('the answer does not end')))
    socket.write(wireBytes(request))
    for await (const piece of socket) {
      pieces.push(piece as Buffer)
      const answer = readAnswer(Buffer.concat(pieces))
      if (answer !== null) return answer
    }
    throw new Error(`the connection ended inside an answer: ${Buffer.concat(pieces).toString()}`)
  } finally {
    socket.destroy()
  }
}

/** null = not whole yet. */
function readAnswer(bytes: Buffer): WireMessage | null {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return null
  const lines = bytes.subarray(0, end).toString().split('\r\n')
  const rest = bytes.subarray(end + 4)
  const body = lines.includes(CHUNKED) ? readChunks(rest) : readLength(rest, lines)
  return body === null ? null : { head: lines.filter((line) => !VOLATILE_HEADERS.test(line)), body }
}

function readLength(rest: Buffer, lines: readonly string[]): Buffer | null {
  const length = Number(lines.find((line) => line.startsWith('content-length: '))?.slice('content-length: '.length) ?? 0)
  if (rest.length > length) throw new Error(`bytes after the end: ${rest.subarray(length).toString()}`)
  return rest.length < length ? null : rest
}

/** Trailers are kept as lines behind the body. */
function readChunks(rest: Buffer): Buffer | null {
  const pieces: Buffer[] = []
  for (let start = 0; ;) {
    const end = rest.indexOf('\r\n', start)
    if (end < 0) return null
    const length = Number.parseInt(rest.subarray(start, end).toString(), 16)
    if (length === 0) {
      const trailers = rest.subarray(end + 2).toString()
      if (trailers === '\r\n') return Buffer.concat(pieces)
      return trailers.endsWith('\r\n\r\n') ? Buffer.concat([...pieces, Buffer.from(`trailers:\n${trailers.trim()}`)]) : null
    }
    if (rest.length < end + 2 + length + 2) return null
    pieces.push(rest.subarray(end + 2, end + 2 + length))
    start = end + 2 + length + 2
  }
}
