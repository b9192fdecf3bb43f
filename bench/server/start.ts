/** Start-up of `inferd serve`: MODEL [ROUNDS]. From spawn to a ready worker and to the first streamed token, a fresh process each time. */
import { InferdProcess, serverSentEvents } from '../../tests/e2e/inferd-process.ts'

const [model = 'models/inferd-chat/inferd-chat-Q8_0.gguf', rounds = '5'] = process.argv.slice(2)

for (let round = 0; round < Number(rounds); round++) {
  const start = performance.now()
  await using server = await InferdProcess.start('--model', `bench=${model}`)
  const listeningMs = performance.now() - start
  const response = await server.post('/v1/completions', { model: 'bench', prompt: 'The quick brown fox', stream: true, max_tokens: 4 })
  for await (const event of serverSentEvents(response)) {
    if (event !== '[DONE]') break
  }
  console.log(JSON.stringify({ round, listeningMs, firstTokenMs: performance.now() - start }))
}
