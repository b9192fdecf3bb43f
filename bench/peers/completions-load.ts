/** Many streamed completions at once over HTTP, the same for every server that speaks OpenAI's text completions. */
import { serverSentEvents } from '../../tests/e2e/inferd-process.ts'
import { median } from './beside.ts'
import { type LoadOrder, type LoadResult, MEASUREMENT_TIMEOUT_MS, type RunningServer } from './subject.ts'

interface Answer {
  readonly firstTokenMs: number
  readonly numPromptTokens: number
  readonly numOutputTokens: number
}

/** What an event of a stream may hold of what is counted here. */
interface StreamEvent {
  readonly choices?: readonly { readonly text?: string }[]
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null
}

const WARM_UP_PROMPT = Array.from({ length: 32 }, (_, index) => 1900 + index)

/** Sends all prompts at once after a short one for warm-up. Throws where an answer does not have the tokens that were asked for. */
export async function loadServer(server: RunningServer, { prompts, numOutput }: LoadOrder): Promise<LoadResult> {
  await complete(server, WARM_UP_PROMPT, 2)
  const startMs = performance.now()
  const answers = await Promise.all(prompts.map((prompt) => complete(server, prompt, numOutput)))
  const totalMs = performance.now() - startMs
  for (const [index, { numPromptTokens, numOutputTokens }] of answers.entries()) {
    if (numOutputTokens === numOutput && numPromptTokens === prompts[index]!.length) continue
    throw new Error(`${server.baseUrl}: ${numPromptTokens} + ${numOutputTokens} tokens instead of ${prompts[index]!.length} + ${numOutput}`)
  }
  return {
    totalMs,
    numPromptTokens: answers.reduce((sum, answer) => sum + answer.numPromptTokens, 0),
    numOutputTokens: answers.reduce((sum, answer) => sum + answer.numOutputTokens, 0),
    firstTokenMs: median(answers.map((answer) => answer.firstTokenMs)),
  }
}

async function complete({ baseUrl, model }: RunningServer, prompt: readonly number[], numOutput: number): Promise<Answer> {
  const startMs = performance.now()
  const response = await fetch(`${baseUrl}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      prompt,
      max_tokens: numOutput,
      temperature: 0,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal: AbortSignal.timeout(MEASUREMENT_TIMEOUT_MS),
  })
  if (response.status !== 200) throw new Error(`${baseUrl}: ${response.status} ${await response.text()}`)
  let firstTokenMs: number | null = null
  let usage: StreamEvent['usage'] = null
  for await (const event of serverSentEvents(response)) {
    if (event === '[DONE]') break
    const { choices, usage: told } = event as StreamEvent
    if (choices?.[0]?.text) firstTokenMs ??= performance.now() - startMs
    usage = told ?? usage
  }
  if (!usage) throw new Error(`${baseUrl}: a stream without usage`)
  return { firstTokenMs: firstTokenMs ?? performance.now() - startMs, numPromptTokens: usage.prompt_tokens, numOutputTokens: usage.completion_tokens }
}
