/**
 * What the stream path costs per token: chat streams of 100 words from a model that answers at once, read by a second process
 * over 32 keep-alive connections. Prints streams/s, events/s and the server's own CPU time per event, next to a bare node:http
 * server that writes the same bytes, interleaved in one run.
 *
 *   node --conditions=inferd-source bench/server/stream-overhead.ts [rounds] [seconds per round]
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer as createBareServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { systemClock } from '#base/clock'
import type { GenerateEvent, ModelFacts } from '#contract/generate'
import type { ServedModel } from '#platform/registry/served-model'
import { createServer, type InferenceServer } from '#server/http/listener'
import { openaiFamily } from '#server/protocols/openai/routes'
import { decodeCall, EMPTY_REPORT, incomingOf } from '../../tests/conformance/decode-call.ts'
import { keep, recordOf } from '../record.ts'

const NUM_WORDS = 100
const NUM_CONNECTIONS = 32
const WORD = ' lorem'
const BODY = JSON.stringify({ model: 'bench', stream: true, messages: [{ role: 'user', content: 'go' }] })
const FACTS: ModelFacts = {
  architecture: 'none',
  parameters: 0,
  weightsBytes: 0,
  quantization: 'none',
  contextLength: 2048,
  vocabSize: 1000,
  hiddenSize: 8,
  hasChatTemplate: true,
  chatTemplateProblem: null,
}

interface RoundResult {
  readonly streamsPerSecond: number
  readonly cpuMicrosPerEvent: number
}

const EVENTS: readonly GenerateEvent[] = [
  { type: 'response-start', promptTokens: 2, cachedTokens: 0 },
  ...Array.from({ length: NUM_WORDS }, (): GenerateEvent => ({ type: 'text-delta', choice: 0, text: WORD, logprobs: null })),
  { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null },
  { type: 'response-end', usage: { promptTokens: 2, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: NUM_WORDS, reasoningTokens: 0 } },
]

/** `paced`: one turn of the event loop between words, as a step loop gives them, so that no two words share a write. */
function benchModel({ paced }: { readonly paced: boolean }): ServedModel {
  return {
    name: 'bench',
    createdSeconds: 0,
    state: { kind: 'ready', facts: FACTS },
    async *generate() {
      for (const event of EVENTS) {
        if (paced) await new Promise(setImmediate)
        yield event
      }
    },
    countTokens: () => Promise.resolve(2),
    embed: () => Promise.reject(new RangeError('no embeddings here')),
    whileLoading: () => Promise.resolve(),
    probe: () => Promise.resolve({ numRunning: 0, numWaiting: 0, numBlocks: 0, numFreeBlocks: 0 }),
  }
}

interface Subject {
  readonly port: number
  close(): Promise<void>
}

async function startInferd(paced: boolean): Promise<Subject> {
  const model = benchModel({ paced })
  const server: InferenceServer = createServer({
    models: { list: () => [model], find: () => model },
    options: { host: '127.0.0.1', port: 0 },
    log: { info: () => {}, warn: () => {}, error: () => {} },
    clock: systemClock,
  })
  const { port } = await server.listen()
  return { port, close: () => server.close({ graceMs: 0 }) }
}

/** The same frames, encoded beforehand, from the smallest server that can send them. */
async function startBare(paced: boolean): Promise<Subject> {
  const frames = await encodeAll()
  const server: Server = createBareServer((request, response) => {
    request.resume().on('end', () => {
      void (async () => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        for (const frame of frames) {
          if (paced) await new Promise(setImmediate)
          response.write(frame)
        }
        response.end()
      })()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

async function encodeAll(): Promise<string[]> {
  const path = '/v1/chat/completions'
  const call = await decodeCall(openaiFamily, path, incomingOf(path, JSON.parse(BODY) as Record<string, unknown>))
  const { encode } = call.startStream(EMPTY_REPORT)
  return EVENTS.map((event) => String(encode(event)))
}

/** Encoding alone, without a socket. */
async function encodeMicrosPerEvent(): Promise<number> {
  const numRuns = 5000
  await encodeAll()
  const start = performance.now()
  let numBytes = 0
  for (let run = 0; run < numRuns; run++) for (const frame of await encodeAll()) numBytes += frame.length
  const micros = ((performance.now() - start) * 1000) / (numRuns * EVENTS.length)
  return numBytes > 0 ? micros : 0
}

async function measure(subject: Subject, client: ChildProcess, durationMs: number): Promise<RoundResult> {
  const cpuBefore = process.cpuUsage()
  client.send({ port: subject.port, durationMs })
  const [{ numStreams, elapsedMs }] = (await once(client, 'message')) as [{ numStreams: number; elapsedMs: number }]
  const { user, system } = process.cpuUsage(cpuBefore)
  return { streamsPerSecond: (numStreams * 1000) / elapsedMs, cpuMicrosPerEvent: (user + system) / (numStreams * EVENTS.length) }
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0
}

function report(name: string, results: readonly RoundResult[]): void {
  const rates = results.map(({ streamsPerSecond }) => streamsPerSecond)
  keep(recordOf({ suite: 'stream', case: name, metric: 'streams', unit: '1/s' }, rates))
  const each = results.map(({ cpuMicrosPerEvent }) => cpuMicrosPerEvent)
  keep(recordOf({ suite: 'stream', case: name, metric: 'processor time an event', unit: 'us' }, each))
  const cpu = median(results.map(({ cpuMicrosPerEvent }) => cpuMicrosPerEvent))
  const spread = `${Math.min(...rates).toFixed(0)}-${Math.max(...rates).toFixed(0)}`
  console.log(
    `${name.padEnd(28)} ${median(rates).toFixed(0).padStart(6)} streams/s (${spread})  ${(median(rates) * EVENTS.length).toFixed(0).padStart(7)} events/s  ${cpu.toFixed(2)} us CPU per event`,
  )
}

async function main(): Promise<void> {
  const numRounds = Number(process.argv[2] ?? 3)
  const durationMs = Number(process.argv[3] ?? 2) * 1000
  const client = fork(new URL(import.meta.url).pathname, ['client'], { execArgv: process.execArgv })
  const kinds = [
    { name: 'inferd, words in bursts', start: () => startInferd(false) },
    { name: 'bare node:http, in bursts', start: () => startBare(false) },
    { name: 'inferd, word by word', start: () => startInferd(true) },
    { name: 'bare node:http, word by word', start: () => startBare(true) },
  ].map((kind) => ({ ...kind, results: [] as RoundResult[] }))
  for (let round = 0; round <= numRounds; round++) {
    for (const { start, results } of kinds) {
      const subject = await start()
      const result = await measure(subject, client, round === 0 ? durationMs / 4 : durationMs)
      // Round 0 warms the compiler up.
      if (round > 0) results.push(result)
      await subject.close()
    }
  }
  client.disconnect()
  console.log(`${NUM_WORDS}-word chat streams, ${NUM_CONNECTIONS} connections, ${numRounds} rounds of ${durationMs} ms, median (min-max)`)
  for (const { name, results } of kinds) report(name, results)
  console.log(`encoding alone               ${(await encodeMicrosPerEvent()).toFixed(2)} us per event`)
}

/** The second process: keeps every connection busy, counts ends of streams. */
function runClient(): void {
  process.on('message', ({ port, durationMs }: { port: number; durationMs: number }) => {
    const request = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`
    let numStreams = 0
    const start = performance.now()
    const sockets = Array.from({ length: NUM_CONNECTIONS }, () => {
      const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(request))
      let tail = ''
      socket.on('error', () => {})
      socket.on('data', (chunk: Buffer) => {
        tail = (tail + chunk.toString('latin1')).slice(-5)
        if (tail !== '0\r\n\r\n') return
        numStreams++
        tail = ''
        socket.write(request)
      })
      return socket
    })
    setTimeout(() => {
      for (const socket of sockets) socket.destroy()
      process.send?.({ numStreams, elapsedMs: performance.now() - start })
    }, durationMs)
  })
}

if (process.argv[2] === 'client') runClient()
else await main()
