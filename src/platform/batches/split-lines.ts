/** Lines of bytes as they come from a file or an object: read once, one line in memory at a time. */

const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d

export interface ByteLine {
  /** All lines count, from 1. */
  readonly number: number
  /** Without its end, LF or CRLF; null = it is too long, and was not kept. */
  readonly bytes: Uint8Array | null
}

/** A last line without its end is a line; an empty one is none. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, maxLineBytes: number): AsyncGenerator<ByteLine> {
  let pieces: Uint8Array[] = []
  let numBytes = 0
  let number = 1
  const add = (piece: Uint8Array): void => {
    numBytes += piece.length
    if (numBytes > maxLineBytes) pieces = []
    else if (piece.length > 0) pieces.push(piece)
  }
  const take = (): ByteLine => {
    const bytes = numBytes > maxLineBytes ? null : withoutReturn(Buffer.concat(pieces))
    pieces = []
    numBytes = 0
    return { number: number++, bytes }
  }
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      add(chunk.subarray(start, end))
      start = end + 1
      yield take()
    }
    add(chunk.subarray(start))
  }
  if (numBytes > 0) yield take()
}

function withoutReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes
}
