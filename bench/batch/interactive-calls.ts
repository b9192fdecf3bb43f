/** Streamed calls that come as they come, whether the server is done with those before or not. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '#base/random'
import { type InferdProcess, serverSentEvents } from '../../tests/e2e/inferd-process.ts'

export interface CallShape {
  readonly model: string
  readonly numPromptWords: number
  readonly numOutputTokens: number
}

export interface Timing {
  readonly firstTokenMs: number
  readonly perTokenMs: number
}

export interface InteractiveCalls {
  readonly shape: CallShape
  readonly ratePerS: number
  readonly durationMs: number
  readonly arrivals: Random
  readonly words: Random
}

/** Of all that came within the duration. */
export async function askAll(server: InferdProcess, { shape, ratePerS, durationMs, arrivals, words }: InteractiveCalls): Promise<readonly Timing[]> {
  const asked: Promise<Timing>[] = []
  const startMs = performance.now()
  for (let atMs = nextGapMs(arrivals, ratePerS); atMs < durationMs; atMs += nextGapMs(arrivals, ratePerS)) {
    await sleep(Math.max(0, startMs + atMs - performance.now()))
    asked.push(ask(server, chatBody(shape, words)))
  }
  return Promise.all(asked)
}

/** Words at random, so that no two prompts share more than the template's beginning. */
export function chatBody({ model, numPromptWords, numOutputTokens }: CallShape, random: Random): object {
  const words = Array.from({ length: numPromptWords }, () => `w${random.nextInt(100_000)}`)
  return { model, messages: [{ role: 'user', content: words.join(' ') }], max_tokens: numOutputTokens, temperature: 0, ignore_eos: true }
}

async function ask(server: InferdProcess, body: object): Promise<Timing> {
  const startMs = performance.now()
  const response = await server.post('/v1/chat/completions', { ...body, stream: true })
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
  let [firstMs, lastMs, numPieces] = [0, 0, 0]
  for await (const event of serverSentEvents(response)) {
    if (event === '[DONE]') break
    const { choices } = event as unknown as { readonly choices: readonly { readonly delta: { readonly content?: string } }[] }
    if (!choices[0]?.delta.content) continue
    lastMs = performance.now()
    if (numPieces++ === 0) firstMs = lastMs
  }
  return { firstTokenMs: firstMs - startMs, perTokenMs: (lastMs - firstMs) / Math.max(1, numPieces - 1) }
}

function nextGapMs(random: Random, ratePerS: number): number {
  return (-Math.log(1 - random.nextFloat()) / ratePerS) * 1000
}
