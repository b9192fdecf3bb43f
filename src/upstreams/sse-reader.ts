/** Server-sent events, however the bytes are cut. Source: WHATWG HTML, section 9.2. */
import { InferdError } from '#contract/errors'

/** Of one event; a longer one is an upstream that means no good. */
const MAX_EVENT_BYTES = 4 * 2 ** 20

export interface ServerEvent {
  /** '' = none was given. */
  readonly name: string
  readonly data: string
}

/** Invariant: `line` holds at most MAX_EVENT_BYTES characters. */
export class SseReader {
  private readonly decoder = new TextDecoder('utf-8')
  private line = ''
  private name = ''
  private data: string[] = []
  private numDataCharacters = 0
  private endsWithCr = false

  /** Throws upstream_failed when an event is too long. */
  push(bytes: Uint8Array): readonly ServerEvent[] {
    const events: ServerEvent[] = []
    let text = this.decoder.decode(bytes, { stream: true })
    if (this.endsWithCr && text.startsWith('\n')) text = text.slice(1)
    if (text !== '') this.endsWithCr = text.endsWith('\r')
    const lines = text.split(/\r\n|\r|\n/)
    for (let index = 0; index < lines.length; index++) {
      this.line += lines[index]!
      if (this.line.length + this.numDataCharacters > MAX_EVENT_BYTES)
        throw new InferdError('upstream_failed', 'the upstream sent an event that is too long')
      if (index === lines.length - 1) break
      const event = this.endLine()
      if (event !== null) events.push(event)
    }
    return events
  }

  private endLine(): ServerEvent | null {
    const { line } = this
    this.line = ''
    if (line === '') return this.endEvent()
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'event') this.name = value
    if (field === 'data') {
      this.data.push(value)
      this.numDataCharacters += value.length + 1
    }
    return null
  }

  private endEvent(): ServerEvent | null {
    const event = this.data.length === 0 ? null : { name: this.name, data: this.data.join('\n') }
    this.name = ''
    this.data = []
    this.numDataCharacters = 0
    return event
  }
}
