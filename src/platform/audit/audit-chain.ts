/**
 * The form of the audit log: JSON lines, each with the hash of the line before it and its own. A line that is changed, removed or put
 * elsewhere breaks the chain at its place; the end of the chain is remembered outside the file. Pure.
 */
import { createHash } from 'node:crypto'

export interface AuditEvent {
  /** `key.create`, `login.failed`. */
  readonly event: string
  /** A key id, or the user of the command line. */
  readonly actor: string
  readonly details: Readonly<Record<string, unknown>>
}

export interface ChainEnd {
  readonly sequence: number
  /** Hex SHA-256. */
  readonly hash: string
}

export type ChainVerdict =
  | { readonly isWhole: true; readonly numLines: number }
  /** `lineNumber` counts from 1. */
  | { readonly isWhole: false; readonly lineNumber: number; readonly problem: string }

const CHAIN_START: ChainEnd = { sequence: 0, hash: '0'.repeat(64) }

/** What JSON leaves as it is, and readers take for the end of a line or for nothing. */
const UNSEEN = /[\u007f-\u009f\u2028\u2029]/g
const LINE = /^(\{.*),"hash":"([0-9a-f]{64})"\}$/

/** One line without its end. */
export function chainLine(end: ChainEnd, wallMs: number, { event, actor, details }: AuditEvent): { readonly line: string; readonly end: ChainEnd } {
  const sequence = end.sequence + 1
  const record = { sequence, time: new Date(wallMs).toISOString(), event, actor, details, previous: end.hash }
  const body = JSON.stringify(record).replace(UNSEEN, escapeUnit).slice(0, -1)
  const hash = hashOf(body)
  return { line: `${body},"hash":"${hash}"}`, end: { sequence, hash } }
}

/** Where a line says that the chain is after it; null = it is no whole line. */
export function endOfLine(line: string): ChainEnd | null {
  const [, body, hash] = LINE.exec(line) ?? []
  if (body === undefined || hash === undefined || hashOf(body) !== hash) return null
  const { sequence } = JSON.parse(`${body}}`) as { readonly sequence?: unknown }
  return typeof sequence === 'number' ? { sequence, hash } : null
}

/** `head`: the end that is remembered outside; lines after it may be there, when their writer was killed. */
export async function verifyChain(lines: AsyncIterable<string> | Iterable<string>, head: ChainEnd): Promise<ChainVerdict> {
  let end = CHAIN_START
  let sawHead = head.sequence === 0
  let lineNumber = 0
  for await (const line of lines) {
    lineNumber++
    const next = endOfLine(line)
    if (next === null) return broken(lineNumber, 'the line is damaged: its hash is not that of its text')
    if (!line.includes(`"previous":"${end.hash}"`) || next.sequence !== end.sequence + 1) {
      return broken(
        lineNumber,
        `the line does not follow the one before it: one was removed, added or moved (sequence ${next.sequence} after ${end.sequence})`,
      )
    }
    if (next.sequence === head.sequence) {
      if (next.hash !== head.hash) return broken(lineNumber, 'the line is not the one that the store remembers: the log was written anew')
      sawHead = true
    }
    end = next
  }
  if (!sawHead) return broken(lineNumber + 1, `the end is missing: the store remembers ${head.sequence} lines, the file has ${end.sequence}`)
  return { isWhole: true, numLines: lineNumber }
}

function escapeUnit(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function hashOf(body: string): string {
  return createHash('sha256').update(body).digest('hex')
}

function broken(lineNumber: number, problem: string): ChainVerdict {
  return { isWhole: false, lineNumber, problem }
}
