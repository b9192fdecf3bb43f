/**
 * The smallest server that speaks OpenAI's chat completions: the model behind every gateway that is measured. Whole answers and streams of
 * 100 events, sent at once or paced.
 *
 *   node bench/gateway/mock-upstream.ts PORT [PACE_MS]
 */
import { createServer } from 'node:http'

const NUM_EVENTS = 100
const port = Number(process.argv[2])
const paceMs = Number(process.argv[3] ?? 0)

const USAGE = { prompt_tokens: 9, completion_tokens: NUM_EVENTS, total_tokens: NUM_EVENTS + 9 }
const chunk = (choices: object[], usage?: object): string =>
  `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'mock', choices, ...(usage === undefined ? {} : { usage }) })}\n\n`
const HEAD = chunk([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }])
const WORD = chunk([{ index: 0, delta: { content: ' lorem' }, finish_reason: null }])
const TAIL = `${chunk([{ index: 0, delta: {}, finish_reason: 'stop' }])}${chunk([], USAGE)}data: [DONE]\n\n`
const BURST = HEAD + WORD.repeat(NUM_EVENTS) + TAIL
const WHOLE = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'mock',
  choices: [{ index: 0, message: { role: 'assistant', content: ' lorem'.repeat(NUM_EVENTS) }, finish_reason: 'stop' }],
  usage: USAGE,
})

createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8').on('data', (text: string) => (body += text))
  request.on('end', () => {
    if (!body.includes('"stream":true') && !body.includes('"stream": true')) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(WHOLE)
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    if (paceMs === 0) {
      response.end(BURST)
      return
    }
    response.write(HEAD)
    let numSent = 0
    const timer = setInterval(() => {
      response.write(WORD)
      if (++numSent < NUM_EVENTS) return
      clearInterval(timer)
      response.end(TAIL)
    }, paceMs)
    response.on('close', () => clearInterval(timer))
  })
}).listen(port, '127.0.0.1', () => console.log('ready'))
