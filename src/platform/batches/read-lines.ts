/** Lines of JSON as they come from a file or an object: read once, one line in memory at a time, whatever the sender has written. */
import type { InputLine } from '#contract/batch'

const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d
const BYTE_ORDER_MARK = '\ufeff'

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Blank lines count but are not given. A line of more than `maxLineBytes` is passed over without being kept. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, maxLineBytes: number): AsyncGenerator<InputLine> {
  let pieces: Uint8Array[] = []
  let numBytes = 0
  let number = 1
  const add = (piece: Uint8Array): void => {
    numBytes += piece.length
    if (numBytes > maxLineBytes) pieces = []
    else if (piece.length > 0) pieces.push(piece)
  }
  const take = (): InputLine | null => {
    const line = numBytes > maxLineBytes ? unreadable(number, 'too-long') : decodeLine(Buffer.concat(pieces), number)
    pieces = []
    numBytes = 0
    number++
    return line
  }
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      add(chunk.subarray(start, end))
      start = end + 1
      const line = take()
      if (line !== null) yield line
    }
    add(chunk.subarray(start))
  }
  const last = take()
  if (last !== null) yield last
}

/** null = it is blank. */
function decodeLine(bytes: Uint8Array, number: number): InputLine | null {
  const end = bytes.at(-1) === CARRIAGE_RETURN ? bytes.length - 1 : bytes.length
  try {
    const decoded = strictUtf8.decode(bytes.subarray(0, end))
    const text = number === 1 && decoded.startsWith(BYTE_ORDER_MARK) ? decoded.slice(1) : decoded
    return text.trim() === '' ? null : { kind: 'text', number, text }
  } catch {
    return unreadable(number, 'not-utf8')
  }
}

function unreadable(number: number, problem: 'too-long' | 'not-utf8'): InputLine {
  return { kind: 'unreadable', number, problem }
}
