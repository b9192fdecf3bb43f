/** Work that is done while somebody waits: answers that are kept, files that are kept, and streams, by the shipped model. */
import { expect } from 'vitest'
import { accepted, deadline, getJson, type LoadKind, post, type Target } from './load-kind.ts'

const MODEL = 'inferd-chat'

interface Answer {
  readonly id: string
  readonly status: string
  readonly output: readonly object[]
}

export class KeptAnswerLoad implements LoadKind {
  readonly name = 'kept answers'
  private readonly acknowledged = new Map<string, Answer>()

  get numAcknowledged(): number {
    return this.acknowledged.size
  }

  async once(target: Target): Promise<void> {
    const body = { model: MODEL, input: 'Hello', max_output_tokens: 2, store: true }
    const answer = await accepted<Answer>(post(target, '/v1/responses', JSON.stringify(body)))
    this.acknowledged.set(answer.id, answer)
  }

  async check(target: Target): Promise<void> {
    for (const [id, { status, output }] of this.acknowledged)
      expect(await getJson<Answer>(target, `/v1/responses/${id}`), id).toMatchObject({ id, status, output })
  }
}

export class FileLoad implements LoadKind {
  readonly name = 'files'
  private readonly acknowledged = new Map<string, string>()
  private numSent = 0

  get numAcknowledged(): number {
    return this.acknowledged.size
  }

  async once({ baseUrl }: Target): Promise<void> {
    const text = `file ${this.numSent++} `.repeat(500)
    const form = new FormData()
    form.set('purpose', 'user_data')
    form.set('file', new Blob([text]), 'a.txt')
    const { id } = await accepted<{ id: string }>(fetch(`${baseUrl}/v1/files`, { method: 'POST', body: form, signal: deadline() }))
    this.acknowledged.set(id, text)
  }

  async check({ baseUrl }: Target): Promise<void> {
    for (const [id, text] of this.acknowledged)
      expect(await (await fetch(`${baseUrl}/v1/files/${id}/content`, { signal: deadline() })).text(), id).toBe(text)
  }
}

/** A stream is whole, or it says that it is not, or its connection breaks. */
export class StreamLoad implements LoadKind {
  readonly name = 'streams'
  numAcknowledged = 0
  private readonly problems: string[] = []

  async once(target: Target): Promise<void> {
    const body = { model: MODEL, messages: [{ role: 'user', content: 'Tell me a story.' }], max_tokens: 60, stream: true }
    const response = await post(target, '/v1/chat/completions', JSON.stringify(body))
    const text = await response.text()
    if (response.status !== 200) throw new Error(text)
    const isWhole = text.trimEnd().endsWith('data: [DONE]')
    const hasReason = /"finish_reason":"(stop|length)"/.test(text)
    if (isWhole !== hasReason || (!isWhole && !text.includes('"error"'))) this.problems.push(text)
    if (isWhole) this.numAcknowledged++
  }

  async check(): Promise<void> {
    expect(this.problems).toEqual([])
  }
}
