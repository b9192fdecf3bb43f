/** An object as payloads: some of its records in one call, always the same for the same bytes and terms. Never more than one is held. */
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { recordFormOf, type TransformSpec } from '#contract/transform'
import { splitLines } from '#platform/batches/split-lines'
import { faulty } from './transform-fault.ts'

export interface Payload {
  /** Of its first record; objects that are not split have one record. */
  readonly firstLine: number
  /** At least one, none of them empty. */
  readonly records: readonly Uint8Array[]
}

const NEWLINE_BYTES = 1
const BYTES_PER_MB = 2 ** 20
const BLANK = /^[ \t\r]*$/
/** A line of more bytes is not blank, or nobody's. */
const MAX_BLANK_BYTES = 1024

/** Throws invalid_parameter for what cannot be unpacked or is too large, and what the chunks throw. */
export async function* cutPayloads(stored: AsyncIterable<Uint8Array>, { input, pace }: TransformSpec, signal: AbortSignal): AsyncGenerator<Payload> {
  const chunks = input.isGzip ? unpacked(stored, signal) : stored
  if (!input.isSplit) yield* wholeObject(chunks, pace.maxPayloadBytes)
  // The models of this server read one JSON body in a call.
  else if (!pace.isMultiRecord || recordFormOf(input.contentType) === 'json') yield* singleRecords(chunks, pace.maxPayloadBytes)
  else yield* packedRecords(chunks, pace.maxPayloadBytes)
}

async function* singleRecords(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Payload> {
  for await (const { number, bytes } of recordLines(chunks, maxBytes)) yield { firstLine: number, records: [bytes] }
}

async function* packedRecords(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Payload> {
  let firstLine = 1
  let records: Uint8Array[] = []
  let numBytes = 0
  for await (const { number, bytes } of recordLines(chunks, maxBytes)) {
    if (records.length > 0 && numBytes + NEWLINE_BYTES + bytes.length > maxBytes) {
      yield { firstLine, records }
      records = []
    }
    if (records.length === 0) {
      firstLine = number
      numBytes = -NEWLINE_BYTES
    }
    records.push(bytes)
    numBytes += NEWLINE_BYTES + bytes.length
  }
  if (records.length > 0) yield { firstLine, records }
}

/** Blank lines are no records. */
async function* recordLines(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<{ readonly number: number; readonly bytes: Uint8Array }> {
  for await (const { number, bytes } of splitLines(chunks, maxBytes)) {
    if (bytes === null) throw tooLarge(`the record of line ${number}`, maxBytes)
    if (!isBlank(bytes)) yield { number, bytes }
  }
}

async function* wholeObject(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Payload> {
  const pieces: Uint8Array[] = []
  let numBytes = 0
  for await (const piece of chunks) {
    numBytes += piece.length
    if (numBytes > maxBytes) throw tooLarge('the object, which is not split,', maxBytes)
    pieces.push(piece)
  }
  if (numBytes > 0) yield { firstLine: 1, records: [Buffer.concat(pieces)] }
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.length <= MAX_BLANK_BYTES && BLANK.test(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'))
}

function tooLarge(what: string, maxBytes: number): Error {
  return faulty(`${what} is larger than MaxPayloadInMB, ${maxBytes / BYTES_PER_MB} MB`)
}

async function* unpacked(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const source = Readable.from(chunks, { objectMode: false })
  const target = createGunzip()
  // The reader below is told of every error.
  pipeline(source, target, () => {})
  try {
    for await (const chunk of target) yield chunk as Uint8Array
  } catch (error) {
    signal.throwIfAborted()
    if (isOfGzip(error)) throw faulty('the object is not what CompressionType Gzip says, or it is cut', error)
    throw error
  } finally {
    source.destroy()
    target.destroy()
  }
}

function isOfGzip(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('Z_')
}
