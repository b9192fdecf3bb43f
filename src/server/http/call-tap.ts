/**
 * Where a captured call is copied: the body that came, and what the dialect wrote as its answer, as the caller gets it. What SageMaker puts into
 * parts is kept without them.
 */
import type { AnsweredCall, CallCaptures, CaptureTee } from '#contract/capture'
import type { CallOptions, CallReport } from '#contract/call'
import { payloadsOf } from '#server/aws-event-stream'
import type { EventStream, Incoming, WireReply } from '#server/operation'

interface TappedCall {
  readonly tee: CaptureTee
  readonly incoming: Incoming
  readonly options: CallOptions
  readonly report: CallReport
}

const INNER_TYPE = 'x-amzn-sagemaker-content-type'
const INFERENCE_ID = 'sagemaker:inference-id'

/** null = nothing of this call is kept, and what is done with null costs nothing. */
export function openTap(
  captures: CallCaptures | null,
  requestId: string,
  call: Omit<TappedCall, 'tee'> & { readonly model: string },
): CallTap | null {
  const tee = captures?.begin(call.model, requestId) ?? null
  return tee === null ? null : new CallTap({ ...call, tee })
}

export class CallTap {
  private readonly call: TappedCall

  constructor(call: TappedCall) {
    this.call = call
  }

  /** A whole answer. */
  reply({ body, headers }: WireReply): void {
    const { tee } = this.call
    if (typeof body === 'string' || body instanceof Uint8Array) {
      tee.add(bodyOf(headers, body))
      tee.finish(this.answered(headers))
    } else {
      tee.abandon()
    }
  }

  stream(stream: EventStream): EventStream {
    const { encode, headers } = stream
    return {
      ...stream,
      encode: (event) => {
        const bytes = encode(event)
        if (bytes.length > 0) this.call.tee.add(bodyOf(headers, bytes))
        return bytes
      },
    }
  }

  /** Of a stream, however it ended. */
  streamEnd({ headers }: EventStream): void {
    this.call.tee.finish(this.answered(headers))
  }

  /** The call was refused; without effect on one that was answered. */
  abandon(): void {
    this.call.tee.abandon()
  }

  private answered(headers: Readonly<Record<string, string>>): AnsweredCall {
    const { incoming, options, report } = this.call
    return {
      servedBy: report.servedBy,
      inferenceId: options.metadata[INFERENCE_ID] ?? null,
      request: { contentType: incoming.headers['content-type'] ?? '', bytes: incoming.bytes },
      answerType: headers[INNER_TYPE] ?? headers['content-type'] ?? '',
    }
  }
}

function bodyOf(headers: Readonly<Record<string, string>>, bytes: string | Uint8Array): string | Uint8Array {
  return headers[INNER_TYPE] === undefined || typeof bytes === 'string' ? bytes : payloadsOf(bytes)
}
