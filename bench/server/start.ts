/** Start-up of `inferd serve`: MODEL [ROUNDS]. From spawn to a ready worker and to the first streamed token, a fresh process each time. */
import path from 'node:path'
import { emit, recordOf } from '../record.ts'
import { InferdProcess, serverSentEvents } from '../../tests/e2e/inferd-process.ts'

const [model = 'models/inferd-chat/inferd-chat-Q8_0.gguf', rounds = '5'] = process.argv.slice(2)

const listening: number[] = []
const firstToken: number[] = []
for (let round = 0; round < Number(rounds); round++) {
  const start = performance.now()
  await using server = await InferdProcess.start('--model', `bench=${model}`)
  listening.push(performance.now() - start)
  const response = await server.post('/v1/completions', { model: 'bench', prompt: 'The quick brown fox', stream: true, max_tokens: 4 })
  for await (const event of serverSentEvents(response)) {
    if (event !== '[DONE]') break
  }
  firstToken.push(performance.now() - start)
}
for (const [metric, values] of [
  ['from spawn to listening', listening],
  ['from spawn to the first token', firstToken],
] as const)
  emit(recordOf({ suite: 'start', case: `${path.basename(model)}, ${rounds} starts`, metric, unit: 'ms' }, values))
