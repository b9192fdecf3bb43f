/**
 * One fixture of the wire as text: exchanges of one connection after another, each a request and its answer to the byte. In a head every
 * line ends with CR LF on the wire; a body is the bytes between the empty line and the line feed before the next mark. A binary answer is
 * written as its frames, or its CBOR, in words (lines with `>`) and as its bytes in base64.
 */
import { cbor } from '@smithy/core/cbor'
import { decodeFrames } from './wire-frames.ts'

export interface WireExchange {
  /** What the scripted model does: the text after `# model: `. */
  readonly model: string
  readonly request: WireMessage
  /** null = not recorded yet. */
  readonly answer: WireMessage | null
}

export interface WireMessage {
  /** Start line and headers, without line ends. */
  readonly head: readonly string[]
  readonly body: Buffer
}

const REQUEST_MARK = '======== request'
const ANSWER_MARK = '======== answer'
const MODEL_NOTE = '# model: '
const CR_LF_NOTE = '# body: lines end with CR LF'
const FRAME_TYPE = 'application/vnd.amazon.eventstream'
const CBOR_TYPE = 'application/cbor'
const BASE64_WIDTH = 120

/** `parseFixture(printFixture(x))` is x. */
export function parseFixture(text: string): WireExchange[] {
  return text
    .split(`${REQUEST_MARK}\n`)
    .slice(1)
    .map((part) => {
      const [sent = '', answered] = part.split(`\n${ANSWER_MARK}\n`)
      const asked = answered === undefined ? sent.replace(/\n$/, '') : sent
      const notes = asked.split('\n').filter((line) => line.startsWith('# '))
      const message = parseMessage(asked.slice(notes.join('\n').length + 1))
      const hasCrLf = notes.includes(CR_LF_NOTE)
      const body = hasCrLf ? Buffer.from(message.body.toString().replaceAll('\n', '\r\n')) : message.body
      const model = notes.find((line) => line.startsWith(MODEL_NOTE))?.slice(MODEL_NOTE.length)
      if (model === undefined) throw new Error(`no line ${JSON.stringify(MODEL_NOTE)}`)
      const head = message.head.map((line) => (/^content-length:/i.test(line) ? `Content-Length: ${body.length}` : line))
      return { model, request: { head, body }, answer: answered === undefined ? null : parseMessage(answered.replace(/\n$/, '')) }
    })
}

export function printFixture(exchanges: readonly WireExchange[]): string {
  return exchanges.map(printExchange).join('')
}

function printExchange({ model, request, answer }: WireExchange): string {
  const text = request.body.toString()
  const crLfNote = text.includes('\r\n') ? `${CR_LF_NOTE}\n` : ''
  const asked = `${request.head.join('\n')}\n\n${text.replaceAll('\r\n', '\n')}`
  return `${REQUEST_MARK}\n${MODEL_NOTE}${model}\n${crLfNote}${asked}\n${ANSWER_MARK}\n${answer === null ? '' : printMessage(answer)}\n`
}

/** An answer as it stands in a fixture. */
export function printMessage({ head, body }: WireMessage): string {
  const start = `${head.join('\n')}\n\n`
  if (!isFramed(head)) return start + body.toString()
  const lines = body.toString('base64').match(new RegExp(`.{1,${BASE64_WIDTH}}`, 'g')) ?? []
  const words = isOfType(head, CBOR_TYPE) ? [JSON.stringify(cbor.deserialize(body))] : decodeFrames(body)
  return start + [...words.map((word) => `> ${word}`), ...lines].join('\n')
}

/** The same with the JSON of its lines laid out, so that a difference is one line of a diff. */
export function readableMessage(message: WireMessage): string {
  return printMessage(message)
    .split('\n')
    .map((line) => line.replace(/\{.*\}$/, layOut))
    .join('\n')
}

/** What goes on the wire. */
export function wireBytes({ head, body }: WireMessage): Buffer {
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body])
}

function parseMessage(text: string): WireMessage {
  const end = text.indexOf('\n\n')
  const head = text.slice(0, end).split('\n')
  const body = text.slice(end + 2)
  if (!isFramed(head)) return { head, body: Buffer.from(body) }
  const lines = body.split('\n').filter((line) => !line.startsWith('>'))
  return { head, body: Buffer.from(lines.join(''), 'base64') }
}

/** Answers alone: the requests of fixtures are text. */
function isFramed(head: readonly string[]): boolean {
  return head[0]?.startsWith('HTTP/') === true && (isOfType(head, FRAME_TYPE) || isOfType(head, CBOR_TYPE))
}

function isOfType(head: readonly string[], type: string): boolean {
  return head.some((line) => line.toLowerCase() === `content-type: ${type}`)
}

function layOut(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2)
  } catch {
    return json
  }
}
