/** A chat model elsewhere that repeats a name out of what it is asked, and remembers how often each name came: it outlives every server. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

export interface EchoTerms {
  /** What is repeated of a body. */
  readonly name: RegExp
  readonly answerMs: number
}

export class EchoUpstream implements Disposable {
  /** How often each was asked for, in the order of the first time. */
  readonly asked = new Map<string, number>()
  private readonly server: Server
  private readonly terms: EchoTerms

  private constructor(terms: EchoTerms) {
    this.terms = terms
    this.server = createServer((request, response) => {
      text(request).then(
        async (body) => {
          const answer = await this.answer(body)
          response.setHeader('content-type', 'application/json')
          response.end(answer)
        },
        () => response.destroy(),
      )
    })
  }

  static async start(terms: EchoTerms): Promise<EchoUpstream> {
    const upstream = new EchoUpstream(terms)
    await new Promise<void>((resolve) => upstream.server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get numCalls(): number {
    return [...this.asked.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Of a platform file: the model `far`. */
  get yaml(): string {
    const { port } = this.server.address() as AddressInfo
    return `
egress: { hosts: [{ host: 127.0.0.1, allowPrivate: true }] }
upstreams:
  - dialect: openai
    baseUrl: http://127.0.0.1:${port}/v1
    models: [{ name: far, remoteModel: far, contextLength: 4096 }]
`
  }

  [Symbol.dispose](): void {
    this.server.close()
    this.server.closeAllConnections()
  }

  private async answer(body: string): Promise<string> {
    const name = this.terms.name.exec(body)?.[0] ?? 'none'
    this.asked.set(name, (this.asked.get(name) ?? 0) + 1)
    await sleep(this.terms.answerMs)
    const choices = [{ index: 0, message: { role: 'assistant', content: name }, finish_reason: 'stop' }]
    const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 }
    return JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'far', choices, usage })
  }
}
