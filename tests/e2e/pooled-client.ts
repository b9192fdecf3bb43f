/** HTTP over a pool of connections that can be closed: what the client left open must not look like a leak of the server. */
import { Agent, request } from 'node:http'
import { Readable } from 'node:stream'

export class PooledClient {
  private readonly agent = new Agent({ keepAlive: true })
  private readonly baseUrl: string

  constructor(baseUrl: string) {
    this.baseUrl = baseUrl
  }

  /** Aborting closes the socket, before the headers of the answer or in the middle of its body. */
  post(route: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const { promise, resolve, reject } = Promise.withResolvers<Response>()
    const payload = JSON.stringify(body)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }
    const sent = request(`${this.baseUrl}${route}`, { method: 'POST', agent: this.agent, headers, signal }, (answer) => {
      resolve(new Response(Readable.toWeb(answer) as ReadableStream, { status: answer.statusCode! }))
    })
    sent.on('error', reject)
    sent.end(payload)
    return promise
  }

  close(): void {
    this.agent.destroy()
  }
}
