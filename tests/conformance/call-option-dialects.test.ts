/** The headers of a call that no dialect has words for, in every dialect: each works, is told of in the answer, and is refused by name when it is wrong. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { CountRequest } from '#contract/generate'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FAKE_FACTS, FakeModel } from './fake-model.ts'

const FILE = `
responseCache: { allowed: exact }
prices:
  fake: { input: 1, cachedInput: 1, output: 1, tiers: { priority: 2, flex: 0.5 } }
`
const TOKENS_A_MESSAGE = 500
/** 7 tokens of the prompt and 4 of the answer, in picodollars of 10^-6 each. */
const COST = '0.000011'

class CountingModel extends FakeModel {
  override async countTokens({ input }: CountRequest = { input: { kind: 'text', text: '' } } as CountRequest): Promise<number> {
    return input.kind === 'messages' ? input.messages.length * TOKENS_A_MESSAGE : 7
  }
}

const model = new CountingModel({ name: 'fake' })
let server: ComposedServer

beforeAll(async () => {
  server = await startComposedServer(FILE, [model])
})

beforeEach(() => {
  model.requests.length = 0
})

afterAll(async () => server[Symbol.asyncDispose]())

interface Post {
  readonly path: string
  readonly body: object
}

function messages(texts: readonly string[]): { readonly role: string; readonly content: string }[] {
  return texts.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content }))
}

const CHATS: Readonly<Record<string, (texts: readonly string[]) => Post>> = {
  OpenAI: (texts) => ({ path: '/v1/chat/completions', body: { model: 'fake', temperature: 0, messages: messages(texts) } }),
  'OpenAI responses': (texts) => ({ path: '/v1/responses', body: { model: 'fake', temperature: 0, store: false, input: messages(texts) } }),
  Anthropic: (texts) => ({ path: '/v1/messages', body: { model: 'fake', temperature: 0, max_tokens: 99, messages: messages(texts) } }),
  'Bedrock Converse': (texts) => ({
    path: '/model/fake/converse',
    body: { messages: messages(texts).map(({ role, content }) => ({ role, content: [{ text: content }] })), inferenceConfig: { temperature: 0 } },
  }),
  'Bedrock InvokeModel': (texts) => ({
    path: '/model/fake/invoke',
    body: { anthropic_version: 'bedrock-2023-05-31', temperature: 0, max_tokens: 99, messages: messages(texts) },
  }),
  SageMaker: (texts) => ({ path: '/endpoints/fake/invocations', body: { temperature: 0, messages: messages(texts) } }),
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

async function send({ path, body }: Post, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

test.each(Object.entries(CHATS))('%s: the tier, its price and its name in the answer', async (_, postOf) => {
  const costs: (string | null)[] = []
  for (const tier of ['default', 'priority', 'flex']) {
    const { status, headers, text } = await send(postOf(['hi']), { 'x-inferd-tier': tier })
    expect([status, headers.get('x-inferd-tier')], text).toEqual([200, tier === 'default' ? null : tier])
    costs.push(headers.get('x-inferd-cost-usd'))
  }
  expect(costs).toEqual([COST, '0.000022', '0.0000055'])
})

test.each(Object.entries(CHATS))('%s: turns are left out when asked for, and it says so', async (_, postOf) => {
  const turns = ['one', 'two', 'three', 'four', 'five', 'six', 'seven']
  const { status, headers, text } = await send(postOf(turns), { 'x-inferd-truncation': 'oldest-turns' })
  expect([status, headers.get('x-inferd-truncation')], text).toEqual([200, 'oldest-turns; dropped=4'])
  expect(FAKE_FACTS.contextLength).toBe(2048)
  expect(JSON.stringify(model.requests[0]!.input)).not.toMatch(/one|four/)
  expect(JSON.stringify(model.requests[0]!.input)).toMatch(/five.*seven/)
})

test.each(Object.entries(CHATS))('%s: the same request is answered from the cache when asked for, for nothing', async (dialect, postOf) => {
  const post = postOf([`once, by ${dialect}`])
  const first = await send(post, { 'x-inferd-cache': 'exact' })
  const again = await send(post, { 'x-inferd-cache': 'exact;max-age=60' })
  const off = await send(post, { 'x-inferd-cache': 'off' })
  expect([first, again, off].map(({ headers }) => headers.get('x-inferd-cache'))).toEqual([null, 'exact', null])
  expect([first, again, off].map(({ headers }) => headers.get('x-inferd-cost-usd'))).toEqual([COST, '0', COST])
  expect(again.text).toContain('Hello')
  expect(model.requests.length).toBe(2)
})

test.each(Object.entries(CHATS))('%s: labels end in the ledger', async (dialect, postOf) => {
  const label = `${dialect.replaceAll(' ', '')}-1`
  await send(postOf(['hi']), { 'x-inferd-metadata': `project=${label}&who=a%20b` })
  await server.ledger('fake')
  const labels = await server.labels()
  expect(labels.filter(({ project }) => project === label)).toEqual([{ project: label, who: 'a b' }])
})

const WRONG = {
  'x-inferd-tier': 'gold',
  'x-inferd-truncation': 'newest',
  'x-inferd-cache': 'exact;max-age=soon',
  'x-inferd-guardrail': 'x;version=zero',
  'x-inferd-metadata': Array.from({ length: 17 }, (_, index) => `k${index}=v`).join('&'),
}

test.each(Object.entries(CHATS))('%s: what is wrong is refused by the name of the header', async (_, postOf) => {
  for (const [name, value] of Object.entries(WRONG)) {
    const { status, text } = await send(postOf(['hi']), { [name]: value })
    expect([status, text]).toEqual([400, expect.stringContaining(name)])
  }
  const { status } = await send(postOf(['hi']), { 'x-inferd-guardrail': 'nobody;version=1' })
  expect([400, 404]).toContain(status)
  expect(model.requests).toEqual([])
})
