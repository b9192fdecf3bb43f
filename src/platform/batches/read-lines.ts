/** Lines of JSON as they come from a file or an object, whatever the sender has written. */
import type { InputLine } from '#contract/batch'
import { splitLines } from './split-lines.ts'

const BYTE_ORDER_MARK = '\ufeff'
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Blank lines count but are not given. A line of more than `maxLineBytes` is passed over without being kept. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, maxLineBytes: number): AsyncGenerator<InputLine> {
  for await (const { number, bytes } of splitLines(chunks, maxLineBytes)) {
    const line = bytes === null ? unreadable(number, 'too-long') : decodeLine(bytes, number)
    if (line !== null) yield line
  }
}

/** null = it is blank. */
function decodeLine(bytes: Uint8Array, number: number): InputLine | null {
  try {
    const decoded = strictUtf8.decode(bytes)
    const text = number === 1 && decoded.startsWith(BYTE_ORDER_MARK) ? decoded.slice(1) : decoded
    return text.trim() === '' ? null : { kind: 'text', number, text }
  } catch {
    return unreadable(number, 'not-utf8')
  }
}

function unreadable(number: number, problem: 'too-long' | 'not-utf8'): InputLine {
  return { kind: 'unreadable', number, problem }
}
