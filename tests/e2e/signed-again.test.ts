/**
 * Bad input 26 of the reliability study: what an official client signed, byte for byte again, as whoever saw it on the wire would send it. Inside
 * the window of its signature it is answered again; what it makes is made once, for the token that the client put into it.
 */
import {
  BedrockClient,
  CreateGuardrailCommand,
  CreateGuardrailVersionCommand,
  DeleteGuardrailCommand,
  ListGuardrailsCommand,
  type BedrockClientConfig,
  type CreateGuardrailCommandInput,
} from '@aws-sdk/client-bedrock'
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import type { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'
import { runInferd } from './run-inferd.ts'

type SignedRequest = Parameters<NodeHttpHandler['handle']>[0]

/** Keeps what went out last. */
class KeptHandler extends NodeHttpHandler {
  last: SignedRequest | null = null

  override handle(...[request, options]: Parameters<NodeHttpHandler['handle']>): ReturnType<NodeHttpHandler['handle']> {
    this.last = request
    return super.handle(request, options)
  }

  /** The same bytes, and what came of them. */
  async again(request = this.last!): Promise<{ readonly status: number; readonly body: unknown }> {
    const { response } = await super.handle(request)
    return { status: response.statusCode, body: JSON.parse(await text(response.body as Readable)) }
  }
}

const MINUTE_MS = 60_000
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-signed-'))
const DATA = ['--data-dir', path.join(folder, 'data')]
let server: InferdProcess

beforeAll(async () => {
  red = await signingKey('red')
  blue = await signingKey('blue')
  server = await (await InferdProcess.start(...DATA, '--log-level', 'error')).ready()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

let red: Credentials
let blue: Credentials

async function signingKey(team: string): Promise<Credentials> {
  const terms = ['--kind', 'signing', '--team', team, '--scope', 'inference,read,operate', '--json']
  const made = JSON.parse((await runInferd(['keys', 'create', ...DATA, ...terms])).stdout) as { readonly id: string; readonly secret: string }
  return { accessKeyId: made.id, secretAccessKey: made.secret }
}

function options(credentials: Credentials, requestHandler: KeptHandler): BedrockClientConfig {
  return { endpoint: server.baseUrl, region: 'us-east-1', maxAttempts: 1, credentials, requestHandler }
}

function guardrail(name: string, more: Partial<CreateGuardrailCommandInput> = {}): CreateGuardrailCommand {
  const words = { wordsConfig: [{ text: 'voodoo' }] }
  return new CreateGuardrailCommand({ name, blockedInputMessaging: 'no', blockedOutputsMessaging: 'no', wordPolicyConfig: words, ...more })
}

async function namesOf(client: BedrockClient): Promise<readonly string[]> {
  return (await client.send(new ListGuardrailsCommand({}))).guardrails!.map(({ name }) => name!)
}

const CONVERSE = new ConverseCommand({
  modelId: 'inferd-chat',
  messages: [{ role: 'user', content: [{ text: 'hi' }] }],
  inferenceConfig: { maxTokens: 2 },
})

test('26: a signed question is answered again inside the five minutes of its signature, and refused behind them', async () => {
  const kept = new KeptHandler()
  const inTime = new BedrockRuntimeClient({ ...options(red, kept), systemClockOffset: -4 * MINUTE_MS })
  await inTime.send(CONVERSE)
  for (let turn = 0; turn < 2; turn++) {
    expect(await kept.again()).toMatchObject({ status: 200, body: { output: { message: { role: 'assistant' } } } })
  }
  const late = new BedrockRuntimeClient({ ...options(red, kept), systemClockOffset: -6 * MINUTE_MS })
  await expect(late.send(CONVERSE)).rejects.toMatchObject({ name: 'InvalidSignatureException' })
  expect(await kept.again()).toMatchObject({ status: 403, body: { message: expect.stringContaining('Signature expired') as string } })
})

test('26: a guardrail that is made by a request is made once, however often the request comes, also at once and when it was deleted since', async () => {
  const kept = new KeptHandler()
  const client = new BedrockClient(options(red, kept))
  const { guardrailId, createdAt } = await client.send(guardrail('once'))
  const request = kept.last!
  const same = { status: 202, body: { guardrailId, version: 'DRAFT', createdAt: createdAt!.toISOString() } }
  for (const answer of await Promise.all(Array.from({ length: 8 }, () => kept.again(request)))) expect(answer).toMatchObject(same)
  expect(await namesOf(client)).toEqual(['once'])
  await client.send(new CreateGuardrailVersionCommand({ guardrailIdentifier: guardrailId, description: 'first' }))
  const versionRequest = kept.last!
  for (let turn = 0; turn < 3; turn++) expect(await kept.again(versionRequest)).toMatchObject({ status: 202, body: { guardrailId, version: '1' } })
  const versions = await client.send(new ListGuardrailsCommand({ guardrailIdentifier: guardrailId }))
  expect(versions.guardrails!.map(({ version }) => version)).toEqual(['DRAFT', '1'])
  await client.send(new DeleteGuardrailCommand({ guardrailIdentifier: guardrailId }))
  expect(await kept.again(request)).toMatchObject(same)
  expect(await namesOf(client)).toEqual([])
})

test('26: a token with another request is refused, as a name is that is taken; a token of one team is none of another', async () => {
  const client = new BedrockClient(options(red, new KeptHandler()))
  const clientRequestToken = 'token-1'
  const { guardrailId } = await client.send(guardrail('first', { clientRequestToken }))
  expect((await client.send(guardrail('first', { clientRequestToken }))).guardrailId).toBe(guardrailId)
  const conflict = { name: 'ConflictException', $metadata: { httpStatusCode: 400, attempts: 1 } }
  await expect(client.send(guardrail('second', { clientRequestToken }))).rejects.toMatchObject(conflict)
  await expect(client.send(guardrail('first'))).rejects.toMatchObject(conflict)
  const version = new CreateGuardrailVersionCommand({ guardrailIdentifier: guardrailId, clientRequestToken })
  await expect(client.send(version)).rejects.toMatchObject(conflict)
  for (const token of ['', 'a b', '-', 'x'.repeat(257)]) {
    await expect(client.send(guardrail('third', { clientRequestToken: token }))).rejects.toMatchObject({
      name: 'ValidationException',
      message: expect.stringContaining('clientRequestToken') as string,
    })
  }
  const other = await new BedrockClient(options(blue, new KeptHandler())).send(guardrail('first', { clientRequestToken }))
  expect(other.guardrailId).not.toBe(guardrailId)
  expect(await namesOf(client)).toEqual(['first'])
})
