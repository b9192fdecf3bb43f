/**
 * A ServedModel that answers from a script: what the protocol and the HTTP layer do must not depend on any engine. It records
 * what it was asked and when its signal aborted.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, ModelFacts, TokenLogprob } from '#contract/generate'
import type { Delivery } from '#contract/served-model'
import type { ModelDirectory, ModelLoad, ServedModel, ServedModelState } from '#platform/registry/served-model'

export const FAKE_FACTS: ModelFacts = {
  architecture: 'fake',
  parameters: 1000,
  weightsBytes: 1000,
  quantization: 'Q8_0',
  contextLength: 2048,
  vocabSize: 1000,
  hiddenSize: 8,
  hasChatTemplate: true,
  chatTemplateProblem: null,
}

export const FAKE_LOAD: ModelLoad = { numRunning: 1, numWaiting: 2, numBlocks: 8, numFreeBlocks: 5 }

/** Yields the events of a response; may wait, throw or watch the signal. */
export type Script = (request: GenerateRequest, signal: AbortSignal) => AsyncIterable<GenerateEvent>

export interface FakeModelOptions {
  readonly name?: string
  readonly state?: ServedModelState
  readonly script?: Script
  readonly probe?: (signal: AbortSignal) => Promise<ModelLoad>
}

export class FakeModel implements ServedModel {
  readonly name: string
  readonly createdSeconds = 1_700_000_000
  state: ServedModelState
  script: Script
  probe: (signal: AbortSignal) => Promise<ModelLoad>
  readonly requests: GenerateRequest[] = []
  /** As they were asked for, in order. */
  readonly deliveries: Delivery[] = []
  readonly embedRequests: EmbedRequest[] = []
  /** Reasons of aborted signals, in order. */
  readonly aborts: unknown[] = []
  numRunning = 0

  constructor({
    name = 'fake/model',
    state = { kind: 'ready', facts: FAKE_FACTS },
    script = sayWords(['Hello', ' ', 'wörld', ' 🦊']),
    probe = async () => FAKE_LOAD,
  }: FakeModelOptions = {}) {
    this.name = name
    this.state = state
    this.script = script
    this.probe = probe
  }

  /** A fake does not come up by itself. */
  async whileLoading(): Promise<void> {}

  async *generate(request: GenerateRequest, signal: AbortSignal, delivery: Delivery = 'stream'): AsyncIterable<GenerateEvent> {
    this.requests.push(request)
    this.deliveries.push(delivery)
    this.numRunning++
    const onAbort = (): void => {
      this.aborts.push(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      yield* this.script(request, signal)
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.numRunning--
    }
  }

  async countTokens(): Promise<number> {
    return 7
  }

  async embed(request: EmbedRequest): Promise<EmbedResult> {
    this.embedRequests.push(request)
    const vectors = request.inputs.map((_, index) => unitVector(index, FAKE_FACTS.hiddenSize))
    return { vectors, usage: { promptTokens: 3 * request.inputs.length, cachedTokens: 0, completionTokens: 0 } }
  }
}

export function directoryOf(...models: readonly ServedModel[]): ModelDirectory {
  return { list: () => models, find: (name) => models.find((model) => model.name === name) ?? null }
}

/** Every choice says the words in turn, its index appended to the first when there are several choices. */
export function sayWords(words: readonly string[], { waitMs = 0 }: { readonly waitMs?: number } = {}): Script {
  return async function* (request, signal) {
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 2 }
    const maxWords = Math.min(words.length, request.maxTokens ?? words.length)
    const prefix = request.echo && request.input.kind === 'text' ? request.input.text : ''
    for (let index = 0; index < maxWords; index++) {
      for (let choice = 0; choice < request.numChoices; choice++) {
        if (waitMs > 0) await delay(waitMs, undefined, { signal })
        const word = `${index === 0 ? prefix : ''}${words[index] ?? ''}${index === 0 && request.numChoices > 1 ? choice : ''}`
        const logprobs = request.numTopLogprobs === null ? null : [fakeLogprob(word, index, request.numTopLogprobs)]
        yield { type: 'text-delta', choice, text: word, logprobs }
      }
    }
    const finishReason = maxWords < words.length ? 'length' : 'stop'
    for (let choice = 0; choice < request.numChoices; choice++) yield { type: 'choice-end', choice, finishReason, stopString: null }
    yield {
      type: 'response-end',
      usage: { promptTokens: 7, cachedTokens: 2, cacheWriteTokens: 0, completionTokens: maxWords * request.numChoices, reasoningTokens: 0 },
    }
  }
}

/** What one choice does, in this order. The arguments of the last call are cut short with `cut`, and it ends by length. */
export interface Act {
  readonly reasoning?: string
  readonly text?: string
  readonly calls?: readonly { readonly name: string; readonly arguments: string }[]
  readonly cut?: boolean
}

/** Answer number `i` (from 0) is `acts[i]`, the last of them for ever; every choice does the same, in pieces of three characters. */
export function doActs(acts: readonly Act[]): Script {
  let numAnswers = 0
  return async function* (request) {
    const act = acts[Math.min(numAnswers++, acts.length - 1)] ?? {}
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 2 }
    for (let choice = 0; choice < request.numChoices; choice++) yield* playAct(act, choice, `${numAnswers}-${choice}`)
    yield {
      type: 'response-end',
      usage: { promptTokens: 7, cachedTokens: 2, cacheWriteTokens: 0, completionTokens: 9, reasoningTokens: act.reasoning === undefined ? 0 : 4 },
    }
  }
}

function* playAct({ reasoning = '', text = '', calls = [], cut = false }: Act, choice: number, label: string): Generator<GenerateEvent> {
  for (const piece of pieces(reasoning)) yield { type: 'reasoning-delta', choice, text: piece, logprobs: null }
  for (const piece of pieces(text)) yield { type: 'text-delta', choice, text: piece, logprobs: null }
  for (const [toolCall, call] of calls.entries()) {
    yield { type: 'tool-call-start', choice, toolCall, id: `call-${label}-${toolCall}`, name: call.name }
    for (const argumentsText of pieces(call.arguments)) yield { type: 'tool-call-delta', choice, toolCall, argumentsText }
    if (!cut || toolCall < calls.length - 1) yield { type: 'tool-call-end', choice, toolCall }
  }
  const finishReason = cut ? 'length' : calls.length > 0 ? 'tool-calls' : 'stop'
  yield { type: 'choice-end', choice, finishReason, stopString: null }
}

function pieces(text: string): string[] {
  return text.match(/[^]{1,3}/gu) ?? []
}

/** Speaks for ever, one word each `waitMs`, until aborted. */
export function speakForEver(waitMs: number): Script {
  return async function* (_request, signal) {
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 0 }
    for (;;) {
      yield { type: 'text-delta', choice: 0, text: 'on ', logprobs: null }
      await delay(waitMs, undefined, { signal })
    }
  }
}

/** Starts and then says nothing until aborted. */
export async function* sayNothing(_request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent> {
  yield { type: 'response-start', promptTokens: 7, cachedTokens: 0 }
  await new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

/** Plays the events as they are. */
export function play(events: readonly GenerateEvent[]): Script {
  return async function* () {
    yield* events
  }
}

export function fakeLogprob(text: string, position: number, numTop: number): TokenLogprob {
  const bytes = [...Buffer.from(text)]
  const top = Array.from({ length: numTop }, (_, rank) => ({ tokenId: rank, text: `${text}${rank === 0 ? '' : rank}`, bytes, logprob: -0.5 - rank }))
  return { tokenId: position, text, bytes, logprob: -0.5, top }
}

function unitVector(axis: number, size: number): Float32Array {
  const vector = new Float32Array(size)
  vector[axis % size] = 0.6
  vector[(axis + 1) % size] = 0.8
  return vector
}
