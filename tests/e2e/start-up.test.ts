/** A start as a newcomer makes it. How long it takes is measured by `npm run bench -- start`. */
import { expect, test } from 'vitest'
import { InferdProcess, serverSentEvents } from './inferd-process.ts'

test('a request sent before the model is ready is held and then streamed', async () => {
  await using server = await InferdProcess.start('--log-level', 'warn')
  const messages = [{ role: 'user', content: 'What is the capital of France?' }]
  const response = await server.post('/v1/chat/completions', { model: 'inferd-chat', messages, stream: true, temperature: 0 })
  let text = ''
  for await (const event of serverSentEvents(response)) {
    if (event !== '[DONE]') text += (event as unknown as { choices: { delta: { content?: string } }[] }).choices[0]?.delta.content ?? ''
  }
  expect([response.status, text]).toEqual([200, 'The capital of France is Paris.'])
})
