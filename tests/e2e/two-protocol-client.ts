/** HTTP/1.1 over a pool of connections, or HTTP/2 in clear text over one, with trailers, and everything closed at the end. */
import { Agent, request, type IncomingHttpHeaders } from 'node:http'
import { type ClientHttp2Session, connect } from 'node:http2'

export interface PostedAnswer {
  readonly status: number
  /** Headers, and the trailers of a stream over them. */
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
}

export interface Posted {
  /** The first bytes of the answer's body have come. */
  readonly onBegun?: () => void
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export class TwoProtocolClient implements Disposable {
  private readonly agent = new Agent({ keepAlive: true })
  private readonly url: string
  private session: ClientHttp2Session | null = null

  constructor(url: string) {
    this.url = url
  }

  /** Aborting closes the socket, or resets the stream. Rejects when the answer breaks off. */
  post({ path, headers, body, onBegun }: Posted, signal: AbortSignal): Promise<PostedAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<PostedAnswer>()
    const all = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers }
    const sent = request(`${this.url}${path}`, { method: 'POST', agent: this.agent, headers: all, signal }, (answer) => {
      const chunks: Buffer[] = []
      if (onBegun !== undefined) answer.once('data', onBegun)
      answer.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
      answer.on('end', () =>
        resolve({ status: answer.statusCode!, headers: { ...answer.headers, ...answer.trailers }, bytes: Buffer.concat(chunks) }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
    return promise
  }

  postOverHttp2({ path, headers, body, onBegun }: Posted, signal: AbortSignal): Promise<PostedAnswer> {
    if (this.session === null || this.session.closed || this.session.destroyed) this.session = connect(this.url).on('error', () => {})
    const { promise, resolve, reject } = Promise.withResolvers<PostedAnswer>()
    const all = { ':method': 'POST', ':path': path, 'content-type': 'application/json', ...headers }
    const stream = this.session.request(all, { signal })
    const chunks: Buffer[] = []
    if (onBegun !== undefined) stream.once('data', onBegun)
    let seen: IncomingHttpHeaders = {}
    const onHeaders = (more: IncomingHttpHeaders): void => {
      seen = { ...seen, ...more }
    }
    stream
      .on('response', onHeaders)
      .on('trailers', onHeaders)
      .on('data', (chunk: Buffer) => chunks.push(chunk))
      .on('error', reject)
    stream.on('end', () => resolve({ status: Number(seen[':status'] ?? 0), headers: seen, bytes: Buffer.concat(chunks) }))
    stream.end(body)
    return promise
  }

  [Symbol.dispose](): void {
    this.agent.destroy()
    this.session?.destroy()
  }
}
