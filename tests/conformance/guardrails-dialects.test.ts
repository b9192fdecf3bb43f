/** Guardrails of the whole server through the official client of every dialect: what is read, why it ended, what it used, what is on the wire. */
import { BedrockClient, CreateGuardrailCommand, CreateGuardrailVersionCommand, UpdateGuardrailCommand } from '@aws-sdk/client-bedrock'
import { ApplyGuardrailCommand, ConverseCommand, ConverseStreamCommand, InvokeModelCommand } from '@aws-sdk/client-bedrock-runtime'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { toErrorRecord } from '#contract/errors'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { bedrockClient, STREAMED, WHOLE } from './dialect-asks.ts'
import { FakeModel, fakeLogprob, type Script } from './fake-model.ts'
import { post, RawClient } from './raw-client.ts'

const FILE = `
guardrails:
  definitions:
    - name: house
      blockedInputMessage: NOT ASKED
      blockedOutputMessage: NOT SAID
      policy:
        words: [{ text: kill switch }, { text: ЖЩ ЮЯ }]
        pii: [{ type: EMAIL, input: mask, output: mask }]
        regexes: [{ name: ticket, pattern: 'TCK-\\d{4,8}' }, { name: greek, pattern: '\\p{Greek}{4,9}' }]
    - name: extra
      blockedOutputMessage: NOT BY YOU
      policy: { words: [{ text: purple }] }
  defaults:
    guarded: { guardrail: house }
    loose: { guardrail: house, streaming: async }
prices:
  '*': { input: 0.137, cachedInput: 0.0137, output: 1.911 }
`
/** What a dialect calls the end of an answer that a guardrail ended, and of one that it let pass. */
const BLOCKED: Readonly<Record<string, string>> = {
  OpenAI: 'content_filter',
  Anthropic: 'refusal',
  'Bedrock Converse': 'guardrail_intervened',
  'Bedrock InvokeModel': 'refusal',
  SageMaker: 'content_filter',
}
/** Longer than what is held back for the patterns. */
const PREFACE = 'All is well. '.repeat(90)
const REAL = { promptTokens: 7, cachedTokens: 2, cacheWriteTokens: 0, completionTokens: 41, reasoningTokens: 0 }

const guarded = new FakeModel({ name: 'guarded' })
const loose = new FakeModel({ name: 'loose' })
const plain = new FakeModel({ name: 'plain' })
let server: ComposedServer

beforeAll(async () => {
  server = await startComposedServer(FILE, [guarded, loose, plain])
})

beforeEach(() => {
  guarded.requests.length = 0
})

afterAll(async () => server[Symbol.asyncDispose]())

/** Says the pieces; whether it ends or is cut, it has made 41 tokens for them. */
function saying(pieces: readonly string[]): Script {
  return async function* (request, signal) {
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 2 }
    for (const [index, text] of pieces.entries()) {
      await new Promise((resolve) => setImmediate(resolve))
      if (signal.aborted) {
        yield { type: 'response-error', error: toErrorRecord(signal.reason), usage: REAL }
        return
      }
      const logprobs = request.numTopLogprobs === null ? null : [fakeLogprob(text, index, request.numTopLogprobs)]
      yield { type: 'text-delta', choice: 0, text, logprobs }
    }
    yield { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null }
    yield { type: 'response-end', usage: REAL }
  }
}

describe.each([
  ['whole', WHOLE],
  ['streamed', STREAMED],
] as const)('%s', (form, asks) => {
  describe.each(Object.entries(asks))('%s', (dialect, ask) => {
    test('blocked input never reaches the model, costs nothing and is answered by the message', async () => {
      const before = await server.ledger('guarded')
      const told = await ask({ url: server.url, model: 'guarded', prompt: 'where is the KILL  switch?' })
      expect(told).toEqual({ text: 'NOT ASKED', reason: BLOCKED[dialect], promptTokens: 0, outputTokens: 0 })
      expect(guarded.requests).toEqual([])
      const after = await server.ledger('guarded')
      expect([after.inputTokens, after.outputTokens, after.costUsd]).toEqual([before.inputTokens, before.outputTokens, before.costUsd])
    })

    test('masked input and output', async () => {
      guarded.script = saying(['Write to ', 'bob@exam', 'ple.org ', 'now.'])
      const told = await ask({ url: server.url, model: 'guarded', prompt: 'I am ann@example.com' })
      expect(told).toMatchObject({ text: 'Write to {EMAIL} now.', promptTokens: 7, outputTokens: 41 })
      expect(told.reason).not.toBe('content_filter')
      expect(JSON.stringify(guarded.requests[0]!.input)).toContain('I am {EMAIL}')
    })

    test('blocked output is cut, and used what the model really made, in the answer and in the ledger', async () => {
      for (const pieces of [
        [PREFACE, 'See TCK', '-1234', '5 for', ' more', ' and more'],
        [PREFACE, 'See the kill', ' swi', 'tch of', ' more', ' and more'],
      ]) {
        guarded.script = saying(pieces)
        const before = await server.ledger('guarded')
        const told = await ask({ url: server.url, model: 'guarded', prompt: 'hi' })
        expect(told).toMatchObject({ reason: BLOCKED[dialect], promptTokens: 7, outputTokens: 41 })
        expect(told.text).toMatch(form === 'whole' ? /^NOT SAID$/ : /^(All is well\. ){20,}.*NOT SAID$/)
        const after = await server.ledger('guarded')
        expect([after.inputTokens - before.inputTokens, after.outputTokens - before.outputTokens]).toEqual([7, 41])
      }
    })

    test("asynchronous: text flows, the stream ends where it turns out bad; a caller's own guardrail comes on top", async () => {
      loose.script = saying(['fine so far, the kill switch ', 'is here', ' and on', ' and on'])
      expect(await ask({ url: server.url, model: 'loose', prompt: 'hi' })).toMatchObject({ reason: BLOCKED[dialect], outputTokens: 41 })
      guarded.script = saying(['roses are pur', 'ple ', 'today'])
      const asked = { url: server.url, model: 'guarded', prompt: 'hi', headers: { 'x-inferd-guardrail': 'extra;version=1' } }
      expect((await ask(asked)).text).toMatch(/NOT BY YOU$/)
      expect((await ask({ ...asked, prompt: 'kill switch' })).text).toBe('NOT ASKED')
      expect((await ask({ ...asked, headers: {} })).text).toBe('roses are purple today')
    })
  })
})

test('a guardrail of the control API: made, versioned, changed, used by every operation', async () => {
  const credentials = { accessKeyId: 'unused', secretAccessKey: 'unused' }
  const control = new BedrockClient({ endpoint: server.url, region: 'us-east-1', maxAttempts: 1, credentials })
  const runtime = bedrockClient({ url: server.url })
  const terms = { name: 'mine', blockedInputMessaging: 'NO IN', blockedOutputsMessaging: 'NO OUT' }
  const words = (text: string): object => ({ wordPolicyConfig: { wordsConfig: [{ text }] } })
  const { guardrailId } = await control.send(new CreateGuardrailCommand({ ...terms, ...words('voodoo') }))
  const { version } = await control.send(new CreateGuardrailVersionCommand({ guardrailIdentifier: guardrailId }))
  await control.send(new UpdateGuardrailCommand({ guardrailIdentifier: guardrailId, ...terms, ...words('banjo') }))
  plain.script = saying(['no voodoo ', 'here, only a banjo ', 'plays'])
  const said = async (guardrailVersion: string): Promise<string | undefined> => {
    const guardrailConfig = { guardrailIdentifier: guardrailId!, guardrailVersion, trace: 'enabled' as const }
    const ask = { modelId: 'plain', messages: [{ role: 'user' as const, content: [{ text: 'hi' }] }], guardrailConfig }
    const { stopReason, trace, usage } = await runtime.send(new ConverseCommand(ask))
    expect([stopReason, usage?.outputTokens]).toEqual(['guardrail_intervened', 41])
    const events = await Array.fromAsync((await runtime.send(new ConverseStreamCommand(ask))).stream!)
    expect(events.at(-1)?.metadata?.usage?.outputTokens).toBe(41)
    const match = trace?.guardrail?.outputAssessments?.[guardrailId!]?.[0]?.wordPolicy?.customWords?.[0]?.match
    const streamed = events.at(-1)?.metadata?.trace?.guardrail?.outputAssessments?.[guardrailId!]?.[0]?.wordPolicy?.customWords?.[0]?.match
    expect(streamed).toBe(match)
    return match
  }
  expect([await said(version!), await said('DRAFT')]).toEqual(['voodoo', 'banjo'])
  const content = [{ text: { text: 'a voodoo doll' } }]
  const applied = await runtime.send(
    new ApplyGuardrailCommand({ guardrailIdentifier: guardrailId, guardrailVersion: version, source: 'INPUT', content }),
  )
  expect([applied.action, applied.outputs?.[0]?.text]).toEqual(['GUARDRAIL_INTERVENED', 'NO IN'])
  const body = JSON.stringify({ anthropic_version: 'bedrock-2023-05-31', max_tokens: 50, messages: [{ role: 'user', content: 'hi' }] })
  const native = await runtime.send(new InvokeModelCommand({ modelId: 'plain', body, guardrailIdentifier: guardrailId, guardrailVersion: version }))
  expect(JSON.parse(native.body.transformToString())).toMatchObject({ 'amazon-bedrock-guardrailAction': 'INTERVENED' })
  control.destroy()
})

/** Cut anywhere, between the halves of a character too. */
function chunked(text: string, random: SeededRandom): string[] {
  const pieces: string[] = []
  for (let at = 0; at < text.length;) {
    const size = 1 + random.nextInt(9)
    pieces.push(text.slice(at, at + size))
    at += size
  }
  return pieces
}

/** All bytes that the server sends for one streamed request. */
async function wireOf(path: string, body: object): Promise<string> {
  const client = await RawClient.open(server.port)
  try {
    client.send(post({ path, headers: ['Connection: close'], body: JSON.stringify(body) }))
    expect(await client.untilClosed()).toBe(true)
    return client.received
  } finally {
    client.destroy()
  }
}

test.each([
  ['OpenAI', '/v1/chat/completions', { model: 'guarded', stream: true, messages: [{ role: 'user', content: 'hi' }] }],
  [
    'OpenAI with log probabilities',
    '/v1/chat/completions',
    {
      model: 'guarded',
      stream: true,
      logprobs: true,
      top_logprobs: 2,
      messages: [{ role: 'user', content: 'hi' }],
    },
  ],
  ['Anthropic', '/v1/messages', { model: 'guarded', stream: true, max_tokens: 500, messages: [{ role: 'user', content: 'hi' }] }],
  ['Bedrock', '/model/guarded/converse-stream', { messages: [{ role: 'user', content: [{ text: 'hi' }] }] }],
])('%s: of 100 chunkings none has a blocked or masked byte on the wire', async (_, path, body) => {
  const random = new SeededRandom(11)
  for (let run = 0; run < 100; run++) {
    const bad = run % 2 === 0 ? 'ЖЩ  ЮЯ' : 'ΩΨΣΔ'
    guarded.script = saying(chunked(`${PREFACE}Grüße 🦊 an zoe.quux@example.org, dann 👩‍👩‍👧 und ${bad} אבג 🦊`, random))
    const wire = await wireOf(path, body)
    // The letters of the wire alone: pieces of a word in several frames stand behind each other.
    const texts = [...wire.matchAll(/"(?:content|text)":"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text).join('')
    expect(texts).toMatch(/^(All is well\. ){20}/)
    expect(texts).toMatch(/NOT SAID$/)
    // Frames of Bedrock have checksums, whose bytes may be anything.
    const seen = path.startsWith('/model/') ? texts : wire
    expect(/[\u0370-\u05ff]|"bytes":\[[^\]]*\b(?:20[6-9]|21[45])\b/u.exec(seen)?.[0]).toBeUndefined()
    expect(/quux|example|\ufffd/.exec(texts)?.[0]).toBeUndefined()
  }
})
