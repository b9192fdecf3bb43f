/**
 * The floor of every gateway in Node: `node:http` before the same mock worker, which does nothing but pass the prompt on and write each
 * event as one chunk. What it cannot do at a load, no gateway can.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CallId, FromWorker, ToWorker } from '#platform/replicas/messages'
import { forkMockWorker } from './mock-worker-process.ts'

const answers = new Map<CallId, ServerResponse>()
const HEAD = '{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":'
let numCalls = 0

const worker = forkMockWorker([])
worker.on('message', (message: FromWorker) => {
  if (message.type !== 'events') return
  for (let i = 0; i < message.events.length; i++) write(answers.get(message.calls[i]!)!, message.calls[i]!, message.events[i]!)
})

function write(response: ServerResponse, call: CallId, event: Extract<FromWorker, { type: 'events' }>['events'][number]): void {
  switch (event.type) {
    case 'text-delta':
      response.write(`data: ${HEAD}[{"index":0,"delta":{"content":${JSON.stringify(event.text)}},"logprobs":null,"finish_reason":null}]}\n\n`)
      return
    case 'response-end':
      answers.delete(call)
      response.end('data: [DONE]\n\n')
  }
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const { messages } = JSON.parse(Buffer.concat(chunks).toString()) as { messages: [{ content: string }] }
    const call = ++numCalls as CallId
    answers.set(call, response)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const prompt = { input: { kind: 'messages', messages } }
    worker.send({ type: 'generate', call, request: prompt } as unknown as ToWorker)
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('message', () => process.send?.({ rssMib: process.memoryUsage.rss() / 2 ** 20, cpu: process.cpuUsage() }))
process.once('disconnect', () => process.exit(0))
