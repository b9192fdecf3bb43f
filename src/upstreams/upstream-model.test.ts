import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import type { GenerateEvent, GenerateRequest, ModelFacts } from '#contract/generate'
import { OpenAiStream } from './openai/decode-stream.ts'
import type { UpstreamClient } from './upstream-client.ts'
import type { UpstreamDialect } from './upstream-dialect.ts'
import { UpstreamModel } from './upstream-model.ts'

const CUT = new InferdError('cancelled', 'the answer was cut')

function frame(text: string, usage: object | null): Uint8Array {
  return Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text } }], usage })}\n\n`)
}

/** An OpenAI upstream that sends the pieces and then waits until it is aborted. */
function upstream(pieces: readonly Uint8Array[]): UpstreamModel {
  const post = async function* (_model: string, _post: unknown, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* pieces
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    throw signal.reason
  }
  const dialect = { encodeGenerate: () => ({}), decoder: (request: GenerateRequest) => new OpenAiStream('m', request) } as unknown as UpstreamDialect
  const client = { post } as unknown as UpstreamClient
  return new UpstreamModel({
    name: 'm',
    createdSeconds: 0,
    facts: {} as ModelFacts,
    dialect,
    client,
    countTokens: 'refuse',
    maxConcurrentCalls: 1,
    answers: 'as-asked',
  })
}

/** Aborts after the first piece and reads on. */
async function eventsOfCut(model: UpstreamModel, reason: unknown): Promise<GenerateEvent[]> {
  const controller = new AbortController()
  const events: GenerateEvent[] = []
  for await (const event of model.generate({ numChoices: 1 } as GenerateRequest, controller.signal)) {
    events.push(event)
    if (event.type === 'text-delta') controller.abort(reason)
  }
  return events
}

test('an upstream that counts as it goes says what it has made when it is cut', async () => {
  const model = upstream([frame('hello', { prompt_tokens: 9, completion_tokens: 6, prompt_tokens_details: { cached_tokens: 4 } })])
  const events = await eventsOfCut(model, CUT)
  expect(events.at(-1)).toMatchObject({
    type: 'response-error',
    error: { code: 'cancelled' },
    usage: { promptTokens: 9, cachedTokens: 4, completionTokens: 6 },
  })
  expect((await model.probe()).numRunning).toBe(0)
})

test('an upstream that counts at the end only, and one that is aborted for no reason of ours, have nothing to say', async () => {
  await expect(eventsOfCut(upstream([frame('hello', null)]), CUT)).rejects.toBe(CUT)
  const gone = new Error('gone')
  const counting = upstream([frame('hello', { prompt_tokens: 9, completion_tokens: 6 })])
  await expect(eventsOfCut(counting, gone)).rejects.toBe(gone)
})
