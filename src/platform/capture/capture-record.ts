/**
 * One captured call as a line, in the words of SageMaker's data capture: `captureData`, `eventMetadata`, `eventVersion`. A body that was longer
 * than what is kept says `truncated`, which SageMaker's do not have. Source: AWS, "Capture data from a real-time endpoint".
 */
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

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const MAX_CODE_POINT_BYTES = 4

/** With its line feed. */
export function encodeRecord({ requestId, inferenceId, wallMs, input, output }: CaptureRecord, types: ContentTypes): string {
  const line = {
    captureData: {
      ...(input === null ? {} : { endpointInput: encodeBody(input, 'INPUT', types) }),
      ...(output === null ? {} : { endpointOutput: encodeBody(output, 'OUTPUT', types) }),
    },
    eventMetadata: {
      eventId: requestId,
      ...(inferenceId === null ? {} : { inferenceId }),
      inferenceTime: new Date(wallMs).toISOString().replace(/\.\d{3}Z$/, 'Z'),
    },
    eventVersion: '0',
  }
  return `${JSON.stringify(line)}\n`
}

function encodeBody({ contentType, bytes, isTruncated }: CapturedBody, mode: 'INPUT' | 'OUTPUT', types: ContentTypes): object {
  const encoding = encodingOf(contentType, types)
  const text = encoding === 'BASE64' ? null : textOf(bytes, isTruncated)
  return {
    observedContentType: contentType,
    mode,
    data: text ?? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
    encoding: text === null ? 'BASE64' : encoding,
    ...(isTruncated ? { truncated: true } : {}),
  }
}

function encodingOf(contentType: string, { csvTypes, jsonTypes }: ContentTypes): Encoding {
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (csvTypes.includes(type)) return 'CSV'
  return jsonTypes.includes(type) ? 'JSON' : 'BASE64'
}

/** null = it is no UTF-8. Of a text that was cut the broken code point at its end is left out. */
function textOf(bytes: Uint8Array, isTruncated: boolean): string | null {
  const maxCut = isTruncated ? Math.min(MAX_CODE_POINT_BYTES - 1, bytes.length) : 0
  for (let numCut = 0; numCut <= maxCut; numCut++) {
    try {
      return UTF8.decode(bytes.subarray(0, bytes.length - numCut))
    } catch {
      // The next shorter one, or none.
    }
  }
  return null
}
