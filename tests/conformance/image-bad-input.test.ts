/**
 * Bad inputs 61 and 62 of the reliability study in every dialect that has a place for images: no model here sees, so an image is refused by its
 * place, whatever its bytes say and however many there are; nothing reads a byte of it, and the next good request is answered.
 */
import Anthropic from '@anthropic-ai/sdk'
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime'
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bodyWith, dialectTargets, type DialectTarget, readError } from './dialect-targets.ts'
import { FakeModel, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MODEL = 'fake-model'
const TARGETS = dialectTargets(MODEL)
  .filter(({ messages }) => messages !== null)
  .map((target) => ({ ...target, title: `${target.path}${target.isStream ? ', streamed' : ''}` }))

let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ model: new FakeModel({ name: MODEL, script: sayWords(['ok']) }) })
})

beforeEach(() => void (server.model.requests.length = 0))

afterAll(() => server.server.close({ graceMs: 0 }))

interface ImageFile {
  readonly mime: string
  readonly format: string
  readonly bytes: Buffer
}

const PNG_MAGIC = Buffer.from('89504e470d0a1a0a', 'hex')

/** A header that promises so many pixels, and a kilobyte behind it. */
function pngOf(width: number, height: number, ...chunks: readonly string[]): ImageFile {
  const header = Buffer.alloc(25)
  header.writeUInt32BE(13, 0)
  header.write('IHDR', 4, 'latin1')
  header.writeUInt32BE(width, 8)
  header.writeUInt32BE(height, 12)
  header.set([8, 6, 0, 0, 0], 16)
  return { mime: 'image/png', format: 'png', bytes: Buffer.concat([PNG_MAGIC, header, ...chunks.map((chunk) => Buffer.from(chunk, 'latin1'))]) }
}

const ANIMATION = `\0\0\0\x08acTL${'\xff'.repeat(8)}`
const SVG = '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'

const FILES: readonly (readonly [string, ImageFile])[] = [
  ['64 k x 64 k pixels in a kilobyte', pngOf(65_536, 65_536, '\0'.repeat(1000))],
  ['2^31 x 2^31 pixels', pngOf(2 ** 31, 2 ** 31)],
  ['no pixels', pngOf(0, 0)],
  ['52,800 x 44 pixels', pngOf(52_800, 44)],
  ['one pixel', pngOf(1, 1, '\0\0\0\0IDAT')],
  ['an animation of 2^32 frames', pngOf(64, 64, ANIMATION)],
  ['a truncated JPEG', { mime: 'image/jpeg', format: 'jpeg', bytes: Buffer.from('ffd8ffe000104a46', 'hex') }],
  ['an SVG that names a file', { mime: 'image/svg+xml', format: 'png', bytes: Buffer.from(SVG) }],
  ['an animated GIF', { mime: 'image/gif', format: 'gif', bytes: Buffer.from('474946383961ffffffff800000', 'hex') }],
]

/** As the dialect writes an image in a message. */
function partOf({ path }: Pick<DialectTarget, 'path'>, { mime, format, bytes }: ImageFile): object {
  const data = bytes.toString('base64')
  if (path.includes('/converse')) return { image: { format, source: { bytes: data } } }
  if (path.includes('/invoke') || path === '/v1/messages') return { type: 'image', source: { type: 'base64', media_type: mime, data } }
  if (path === '/v1/responses') return { type: 'input_image', detail: 'auto', image_url: `data:${mime};base64,${data}` }
  return { type: 'image_url', image_url: { url: `data:${mime};base64,${data}` } }
}

/** As the dialect writes a text in a message. */
function textOf({ path }: DialectTarget, text: string): object {
  if (path.includes('/converse')) return { text }
  return { type: path === '/v1/responses' ? 'input_text' : 'text', text }
}

function send(target: DialectTarget, body: string): Promise<Response> {
  return fetch(`${server.url}${target.path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...target.headers }, body })
}

function bodyOf(target: DialectTarget, content: readonly object[]): string {
  return bodyWith(target, [target.messages!], JSON.stringify([{ role: 'user', content }]))
}

describe.each(TARGETS)('$title', (target) => {
  /** Refused as what the caller has to mend: the number of parts, or the one at `index`. */
  async function expectRefused(content: readonly object[], fault: 'count' | number): Promise<void> {
    const response = await send(target, bodyOf(target, content))
    const { message, type } = await readError(target, response)
    expect(response.status, message).toBe(target.dialect === 'sagemaker' ? 424 : 400)
    expect(type).toMatch(/^(unsupported_parameter|invalid_parameter|invalid_request_error|ValidationException|ModelError)$/)
    const said = fault === 'count' ? ` must have 1 to 256 items, got ${content.length}` : String.raw`(\[${fault}\]|\.${fault})(\.|\b)`
    expect(message).toMatch(new RegExp(String.raw`\b${target.messages}(\[0\]|\.0)\.content${said}`))
    expect(message.length).toBeLessThan(600)
    expect(server.model.requests).toEqual([])
  }

  async function expectGood(): Promise<void> {
    const response = await send(target, JSON.stringify(target.body))
    expect([response.status, (await response.arrayBuffer()).byteLength > 0]).toEqual([200, true])
  }

  test('61: hostile image files are refused by their place', async () => {
    for (const [, file] of FILES) await expectRefused([textOf(target, 'What is this?'), partOf(target, file)], 1)
    await expectGood()
  })

  test('62: a thousand images are refused by their number, as many as parts may be at the first', async () => {
    const images = (count: number): readonly object[] => Array.from({ length: count }, () => partOf(target, pngOf(1, 1)))
    await expectRefused(images(1000), 'count')
    await expectRefused([textOf(target, 'Compare:'), ...images(1000)], 'count')
    await expectRefused(images(256), 0)
    await expectGood()
  })
})

test('61, 62: the official clients get their own error and do not try again', async () => {
  const bomb = pngOf(65_536, 65_536)
  const many = <Part>(part: Part): Part[] => Array.from({ length: 1000 }, () => part)
  const baseURL = `${server.url}/v1`
  const url = `data:image/png;base64,${bomb.bytes.toString('base64')}`
  const openai = new OpenAI({ apiKey: 'x', baseURL, maxRetries: 3 })
  const part = { type: 'image_url' as const, image_url: { url } }
  for (const content of [[part], many(part)]) {
    const chat = openai.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content }] })
    await expect(chat).rejects.toBeInstanceOf(OpenAI.BadRequestError)
  }
  const anthropic = new Anthropic({ apiKey: 'x', baseURL: server.url, maxRetries: 3 })
  const data = bomb.bytes.toString('base64')
  const block = { type: 'image' as const, source: { type: 'base64' as const, media_type: 'image/png' as const, data } }
  for (const content of [[block], many(block)]) {
    const message = anthropic.messages.create({ model: MODEL, max_tokens: 4, messages: [{ role: 'user', content }] })
    await expect(message).rejects.toBeInstanceOf(Anthropic.BadRequestError)
  }
  const aws = { endpoint: server.url, region: 'us-east-1', maxAttempts: 4, credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' } }
  const bedrock = new BedrockRuntimeClient(aws)
  const image = { image: { format: 'png' as const, source: { bytes: bomb.bytes } } }
  for (const content of [[image], many(image)]) {
    const converse = bedrock.send(new ConverseCommand({ modelId: MODEL, messages: [{ role: 'user', content }] }))
    await expect(converse).rejects.toMatchObject({ name: 'ValidationException', $metadata: { attempts: 1 } })
  }
  const sagemaker = new SageMakerRuntimeClient(aws)
  for (const content of [[part], many(part)]) {
    const command = new InvokeEndpointCommand({
      EndpointName: MODEL,
      ContentType: 'application/json',
      Body: JSON.stringify({ messages: [{ role: 'user', content }] }),
    })
    await expect(sagemaker.send(command)).rejects.toMatchObject({ name: 'ModelError', OriginalStatusCode: 400, $metadata: { attempts: 1 } })
  }
  bedrock.destroy()
  sagemaker.destroy()
  expect(server.model.requests).toEqual([])
})
