/** Every bound of the HTTP layer, with its default. Reasons for the figures: docs/reference/openai.md. */
import type { ProtocolLimits } from '#server/operation'
import type { Log } from '#telemetry/log'

export interface ServerOptions {
  /** `localhost` binds both loopback addresses. */
  readonly host: string
  /** 0 = any free one. */
  readonly port: number
  /** Host names accepted beside the loopback ones; on a non-loopback bind an empty list accepts all. */
  readonly allowedHosts: readonly string[]
  /** Of one body, after decompression too. */
  readonly bodyLimitBytes: number
  /** Of all bodies that are being read at one moment. */
  readonly maxBufferedBodyBytes: number
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  readonly headersTimeoutMs: number
  readonly bodyTimeoutMs: number
  /** Held from `bodyRateGraceMs` after the headers. */
  readonly minBodyBytesPerSecond: number
  readonly bodyRateGraceMs: number
  readonly keepAliveTimeoutMs: number
  /** At the cap the oldest idle connection makes room; without an idle one the new connection is closed. */
  readonly maxConnections: number
  /** From the headers to the last byte of the answer. */
  readonly requestTimeoutMs: number
  readonly probeTimeoutMs: number
  /** Unsent bytes of one stream above which no further event is taken from the model. */
  readonly streamBufferBytes: number
  /** A reader that takes nothing for so long is cut; what it takes at less than the rate below uses the same time up. */
  readonly streamStallTimeoutMs: number
  /** After a deadline or a drain: how long the last frame may take to leave before the connection is closed. */
  readonly cutAfterAbortMs: number
  /** Held while bytes wait for the reader. */
  readonly minStreamBytesPerSecond: number
  /** A stream without its first word is opened after so long, so that proxies see an answer; errors then are events. */
  readonly streamOpenAfterMs: number
  /** A comment line after so long without an event; null = none. */
  readonly heartbeatMs: number | null
  /** Logprobs and alternatives of all answers that are being put together whole; one that needs more ends as overloaded. */
  readonly maxHeldLogprobEntries: number
  /** How long the rest of a refused body is read and dropped, so that the client can read the refusal. */
  readonly lingerMs: number
  /** Part of `system_fingerprint`. */
  readonly version: string
  readonly limits: ProtocolLimits
}

export const DEFAULT_SERVER_OPTIONS: ServerOptions = {
  host: 'localhost',
  port: 8080,
  allowedHosts: [],
  bodyLimitBytes: 4 * 2 ** 20,
  maxBufferedBodyBytes: 256 * 2 ** 20,
  maxHeaderBytes: 16_384,
  maxHeaders: 128,
  headersTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  minBodyBytesPerSecond: 1024,
  bodyRateGraceMs: 5_000,
  keepAliveTimeoutMs: 65_000,
  maxConnections: 1024,
  requestTimeoutMs: 600_000,
  probeTimeoutMs: 2_000,
  streamBufferBytes: 65_536,
  // The kernel may hold megabytes of a stream and tells of progress only when a third of them is gone: minutes at the least rate.
  streamStallTimeoutMs: 180_000,
  cutAfterAbortMs: 30_000,
  minStreamBytesPerSecond: 8_192,
  streamOpenAfterMs: 10_000,
  heartbeatMs: 15_000,
  maxHeldLogprobEntries: 1_048_576,
  lingerMs: 2_000,
  version: '0.1.0',
  limits: {
    maxChoices: 32,
    maxTotalChoices: 128,
    maxPrompts: 64,
    maxMessages: 2048,
    maxContentParts: 256,
    maxStopStrings: 8,
    maxStopStringBytes: 256,
    maxStopTokenIds: 64,
    maxTopLogprobs: 20,
    maxLogitBiasEntries: 1024,
    maxEmbeddingInputs: 2048,
    // About 550 bytes each in the gateway (measured): 140 MB for the largest answer.
    maxLogprobEntries: 262_144,
    maxTools: 128,
    maxToolDescriptionLength: 16_384,
    maxToolCalls: 128,
    maxFormatChoices: 10_000,
    maxTemplateVariables: 64,
  },
}

/** Prompts, outputs and credentials never enter it. */
export type ServerLog = Pick<Log, 'info' | 'warn' | 'error'>
