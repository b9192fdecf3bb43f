/** The answer of an OpenAI-compatible server to one request, read as it comes: when its pieces came, its usage, how it ended. */
import { InferdError } from '#contract/errors'
import { type ServerEvent, SseReader } from '#upstreams/sse-reader'
import type { RequestError } from './request-outcome.ts'

export interface ReadAnswer {
  readonly firstMs: number | null
  readonly gapsMs: readonly number[]
  readonly numPromptTokens: number
  readonly numOutputTokens: number
  readonly isUsageTold: boolean
}

interface Usage {
  readonly prompt_tokens?: unknown
  readonly completion_tokens?: unknown
}

interface Choice {
  readonly text?: unknown
  readonly delta?: {
    readonly content?: unknown
    readonly reasoning_content?: unknown
    readonly reasoning?: unknown
    readonly tool_calls?: unknown
  } | null
  readonly finish_reason?: unknown
}

interface Body {
  readonly choices?: readonly Choice[] | null
  readonly usage?: Usage | null
  readonly error?: unknown
}

const MAX_WORDS = 300

/** A stream of server-sent events. Bytes go in with the time at which they came. */
export class StreamedAnswer {
  private readonly sse = new SseReader()
  private readonly gapsMs: number[] = []
  private firstMs: number | null = null
  private lastMs = 0
  private usage: Usage | null = null
  private isEnded = false
  private error: RequestError | null = null

  /** What comes now changes nothing any more. */
  get hasFailed(): boolean {
    return this.error !== null
  }

  push(bytes: Uint8Array, atMs: number): void {
    for (const { data } of this.events(bytes)) {
      if (data === '[DONE]') this.isEnded = true
      else this.addBody(bodyOf(data), data, atMs)
    }
  }

  /** When the connection has ended. */
  end(): ReadAnswer | RequestError {
    if (this.error !== null) return this.error
    if (!this.isEnded) return { kind: 'broken stream', words: 'the stream ended before its end' }
    if (this.firstMs === null) return { kind: 'no tokens', words: 'the answer ended without a token' }
    return { firstMs: this.firstMs, gapsMs: this.gapsMs, ...tokensOf(this.usage, this.gapsMs.length + 1) }
  }

  private events(bytes: Uint8Array): readonly ServerEvent[] {
    try {
      return this.sse.push(bytes)
    } catch (error) {
      if (!(error instanceof InferdError)) throw error
      this.error ??= { kind: 'unreadable', words: error.message }
      return []
    }
  }

  private addBody(body: Body | null, data: string, atMs: number): void {
    if (body === null) this.error ??= { kind: 'unreadable', words: cut(data) }
    else if (body.error !== undefined && body.error !== null) this.error ??= { kind: 'error in stream', words: wordsOf(body.error) }
    if (body === null) return
    this.usage = body.usage ?? this.usage
    for (const choice of listOf(body.choices)) {
      if (isPiece(choice)) this.addPiece(atMs)
      this.isEnded ||= typeof choice.finish_reason === 'string'
    }
  }

  private addPiece(atMs: number): void {
    if (this.firstMs === null) this.firstMs = atMs
    else this.gapsMs.push(atMs - this.lastMs)
    this.lastMs = atMs
  }
}

/** An answer that came in one. */
export function readWholeAnswer(text: string): ReadAnswer | RequestError {
  const body = bodyOf(text)
  if (body === null || !Array.isArray(body.choices)) return { kind: 'unreadable', words: cut(text) }
  const tokens = tokensOf(body.usage ?? null, body.choices.length)
  return tokens.numOutputTokens === 0 ? { kind: 'no tokens', words: 'the answer has no token' } : { firstMs: null, gapsMs: [], ...tokens }
}

/** What a server that refuses says: the message of its error object, or its text. */
export function refusalWords(text: string): string {
  const body = bodyOf(text)
  return body?.error === undefined || body.error === null ? cut(text.trim()) : wordsOf(body.error)
}

function tokensOf(usage: Usage | null, numPieces: number): Pick<ReadAnswer, 'numPromptTokens' | 'numOutputTokens' | 'isUsageTold'> {
  const [prompt, output] = [usage?.prompt_tokens, usage?.completion_tokens]
  const isTold = Number.isSafeInteger(prompt) && Number.isSafeInteger(output)
  return isTold
    ? { numPromptTokens: prompt as number, numOutputTokens: output as number, isUsageTold: true }
    : { numPromptTokens: 0, numOutputTokens: numPieces, isUsageTold: false }
}

function isPiece({ text, delta }: Choice): boolean {
  const parts = [text, delta?.content, delta?.reasoning_content, delta?.reasoning]
  return parts.some((part) => typeof part === 'string' && part !== '') || (Array.isArray(delta?.tool_calls) && delta.tool_calls.length > 0)
}

function bodyOf(text: string): Body | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

function listOf(choices: Body['choices']): readonly Choice[] {
  return Array.isArray(choices) ? choices.filter((choice: unknown) => typeof choice === 'object' && choice !== null) : []
}

function wordsOf(error: unknown): string {
  const message = typeof error === 'object' && error !== null ? (error as { readonly message?: unknown }).message : error
  return cut(typeof message === 'string' ? message : JSON.stringify(error))
}

function cut(text: string): string {
  return text.length > MAX_WORDS ? `${text.slice(0, MAX_WORDS)}...` : text
}
