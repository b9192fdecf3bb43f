/**
 * Bad input 98 of the reliability study: calls of every dialect that meet the moment in which a server, or one of its workers, goes down. Each is
 * answered whole or refused in words; none is cut off, none waits for ever.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { dialectTargets, type DialectTarget } from '../conformance/dialect-targets.ts'
import { InferdProcess } from './inferd-process.ts'
import { TwoProtocolClient } from './two-protocol-client.ts'

const MODEL = 'inferd-chat'
const TARGETS = dialectTargets(MODEL)
const { signal } = new AbortController()

/** How a stream ends that is whole; `InvokeModel` wraps its events in base64. */
const WHOLE: Readonly<Record<DialectTarget['dialect'], RegExp>> = {
  openai: /\[DONE\]|response\.(completed|incomplete)/,
  anthropic: /message_stop/,
  bedrock: /messageStop|bWVzc2FnZV9zdG9w/,
  sagemaker: /generated_text":"|\[DONE\]/,
  tgi: /generated_text":"/,
  oip: /finish_reason/,
}

type Outcome = 'whole' | 'refused' | 'not connected' | `reset: ${string}` | `lost: ${string}`

/** What a client of this dialect saw. A connection that was not taken is no call that was lost: nothing of it has been read. */
async function send(client: TwoProtocolClient, target: DialectTarget, id: string): Promise<Outcome> {
  const posted = { path: target.path, headers: { ...target.headers, 'x-request-id': id }, body: JSON.stringify(target.body) }
  try {
    const { status, bytes } = await (target.dialect === 'bedrock' ? client.postOverHttp2(posted, signal) : client.post(posted, signal))
    const text = bytes.toString('latin1')
    if (status === 200) return !target.isStream || WHOLE[target.dialect].test(text) ? 'whole' : `lost: ${target.path} ${text.slice(-300)}`
    return (status === 503 || status === 529) && text.includes('the server is shutting down')
      ? 'refused'
      : `lost: ${target.path} ${status} ${text.slice(0, 300)}`
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    // RFC 9113, section 8.7: a refused stream has not been looked at, and may be sent again.
    if (message.includes('NGHTTP2_REFUSED_STREAM')) return 'refused'
    if (code === 'ECONNRESET') return `reset: ${id}`
    return /ECONNREFUSED/.test(`${code} ${message}`) ? 'not connected' : `lost: ${target.path} ${code} ${message}`
  }
}

/** Clients that call one after the other, each dialect in turn, until the first that is not answered. */
async function callUntilRefused(client: TwoProtocolClient, numClients: number): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const callInTurn = async (_: unknown, index: number): Promise<void> => {
    for (let turn = 0; ; turn++) {
      const outcome = await send(client, TARGETS[(index + turn * numClients) % TARGETS.length]!, `call-${index}-${turn}`)
      outcomes.push(outcome)
      if (outcome !== 'whole') return
    }
  }
  await Promise.all(Array.from({ length: numClients }, callInTurn))
  return outcomes
}

test('98: calls that come while the server goes down are answered whole or refused, in every dialect', async () => {
  for (let round = 0; round < 3; round++) {
    await using server = await (await InferdProcess.start('--log-level', 'info')).ready()
    using client = new TwoProtocolClient(server.baseUrl)
    const called = callUntilRefused(client, 24)
    await sleep(500 + 70 * round)
    server.child.kill('SIGTERM')
    const outcomes = await called
    expect(outcomes.filter((outcome) => outcome.startsWith('lost'))).toEqual([])
    expect(outcomes.filter((outcome) => outcome === 'whole').length).toBeGreaterThan(24)
    expect(outcomes).toContain('refused')
    expect(await server.exited()).toBe(0)
    // What the kernel had taken and the server had not, when it stopped to listen: nothing of it was read, no request is in the log.
    for (const outcome of outcomes) if (outcome.startsWith('reset: ')) expect(server.log).not.toContain(`"${outcome.slice(7)}"`)
    expect(server.log).toContain('"call-0-0"')
  }
}, 60_000)
