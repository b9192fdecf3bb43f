/**
 * One captured call as a line, in the words of SageMaker's data capture: `captureData`, `eventMetadata`, `eventVersion`. A body that was longer
 * than what is kept says `truncated`, which SageMaker's do not have. Source: AWS, "Capture data from a real-time endpoint".
 */
import { isUtf8 } from 'node:buffer'
import type { CaptureTerms } from '#contract/capture'

/** Of one direction. */
export interface CapturedBody {
  /** '' = the caller named none. */
  readonly contentType: string
  readonly bytes: Uint8Array
  /** The end is missing. */
  readonly isTruncated: boolean
}

export interface CaptureRecord {
  readonly requestId: string
  readonly inferenceId: string | null
  /** Epoch milliseconds of the end of the answer. */
  readonly wallMs: number
  /** null = not asked for. */
  readonly input: CapturedBody | null
  readonly output: CapturedBody | null
}

type Encoding = 'CSV' | 'JSON' | 'BASE64'
type ContentTypes = Pick<CaptureTerms, 'csvTypes' | 'jsonTypes'>

const MAX_CODE_POINT_BYTES = 4
/** Of a body, encoded in one go: a part of a millisecond. A multiple of three, so that Base64 has no padding within. */
const SLICE_BYTES = 48 * 1024

/** The line with its line feed, in pieces: a large body is not encoded in one go. */
export function* encodeRecord({ requestId, inferenceId, wallMs, input, output }: CaptureRecord, types: ContentTypes): Generator<string> {
  yield '{"captureData":{'
  if (input !== null) yield* encodeBody(input, 'INPUT', types)
  if (input !== null && output !== null) yield ','
  if (output !== null) yield* encodeBody(output, 'OUTPUT', types)
  const eventMetadata = {
    eventId: requestId,
    ...(inferenceId === null ? {} : { inferenceId }),
    inferenceTime: new Date(wallMs).toISOString().replace(/\.\d{3}Z$/, 'Z'),
  }
  yield `},"eventMetadata":${JSON.stringify(eventMetadata)},"eventVersion":"0"}\n`
}

function* encodeBody({ contentType, bytes, isTruncated }: CapturedBody, mode: 'INPUT' | 'OUTPUT', types: ContentTypes): Generator<string> {
  const wanted = encodingOf(contentType, types)
  const text = wanted === 'BASE64' ? null : textBytes(bytes, isTruncated)
  const head = JSON.stringify({ observedContentType: contentType, mode }).slice(0, -1)
  yield `"${mode === 'INPUT' ? 'endpointInput' : 'endpointOutput'}":${head},"data":"`
  yield* text === null ? base64Slices(bytes) : textSlices(text)
  yield `","encoding":"${text === null ? 'BASE64' : wanted}"${isTruncated ? ',"truncated":true' : ''}}`
}

function encodingOf(contentType: string, { csvTypes, jsonTypes }: ContentTypes): Encoding {
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (csvTypes.includes(type)) return 'CSV'
  return jsonTypes.includes(type) ? 'JSON' : 'BASE64'
}

/** null = it is no UTF-8. Of a text that was cut the broken code point at its end is left out. */
function textBytes(bytes: Uint8Array, isTruncated: boolean): Uint8Array | null {
  const maxCut = isTruncated ? Math.min(MAX_CODE_POINT_BYTES - 1, bytes.length) : 0
  for (let numCut = 0; numCut <= maxCut; numCut++) {
    const text = bytes.subarray(0, bytes.length - numCut)
    if (isUtf8(text)) return text
  }
  return null
}

/** As the inside of a string of JSON. */
function* textSlices(text: Uint8Array): Generator<string> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  for (let start = 0; start < text.length; start += SLICE_BYTES)
    yield JSON.stringify(decoder.decode(text.subarray(start, start + SLICE_BYTES), { stream: true })).slice(1, -1)
}

function* base64Slices(bytes: Uint8Array): Generator<string> {
  for (let start = 0; start < bytes.length; start += SLICE_BYTES) {
    const slice = bytes.subarray(start, start + SLICE_BYTES)
    yield Buffer.from(slice.buffer, slice.byteOffset, slice.byteLength).toString('base64')
  }
}
