/** boto3 and the aws CLI signing for real; only where this machine has them. */
import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type KeyedServer, startKeyedServer, TERMS } from './keyed-server.ts'

const run = promisify(execFile)
const CLIENT = join(import.meta.dirname, 'python/signed_calls.py')
const TIMEOUT_MS = 60_000

function has(command: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore', timeout: TIMEOUT_MS })
    return true
  } catch {
    return false
  }
}

let target: KeyedServer
let credentials: { readonly id: string; readonly secret: string }
let environment: NodeJS.ProcessEnv

beforeAll(async () => {
  target = await startKeyedServer()
  const made = await target.keys.create('signing', { ...TERMS, scopes: ['inference', 'read'] })
  if (made.kind !== 'signing') throw new Error('kind')
  credentials = made
  const { AWS_BEARER_TOKEN_BEDROCK: _token, AWS_PROFILE: _profile, AWS_SESSION_TOKEN: _session, ...rest } = process.env
  environment = {
    ...rest,
    AWS_ACCESS_KEY_ID: made.id,
    AWS_SECRET_ACCESS_KEY: made.secret,
    AWS_DEFAULT_REGION: 'us-west-2',
    AWS_MAX_ATTEMPTS: '1',
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
  }
})

afterAll(() => target.stop())

test.runIf(has('python3', '-c', 'import boto3'))(
  'boto3 signs headers, bodies and URLs that are good here, and reads why others are not',
  async () => {
    const { stdout } = await run('python3', [CLIENT, target.url, credentials.id, credentials.secret], { env: environment, timeout: TIMEOUT_MS })
    expect(JSON.parse(stdout)).toMatchObject({
      converse: 'end_turn',
      wrong: 'InvalidSignatureException',
      unknown: 'UnrecognizedClientException',
      session: 'UnrecognizedClientException',
      invoke: 200,
      presigned: 200,
      other_query: 401,
    })
    // An ARN has colons and a slash, which the signer encodes twice; whether the name is a model's is another question.
    expect(['end_turn', 'ResourceNotFoundException', 'ValidationException']).toContain((JSON.parse(stdout) as { arn: string }).arn)
  },
  TIMEOUT_MS,
)

test.runIf(has('aws', '--version'))(
  'the aws CLI signs with the key of its environment, or sends it as a bearer token',
  async () => {
    const command = ['bedrock-runtime', 'converse', '--endpoint-url', target.url, '--model-id', 'fake-model']
    const messages = ['--messages', JSON.stringify([{ role: 'user', content: [{ text: 'Hi' }] }]), '--output', 'json']
    const signed = await run('aws', [...command, ...messages], { env: environment, timeout: TIMEOUT_MS })
    expect(JSON.parse(signed.stdout)).toMatchObject({ stopReason: 'end_turn' })
    const made = await target.keys.create('bearer', TERMS)
    if (made.kind !== 'bearer') throw new Error('kind')
    const env = { ...environment, AWS_BEARER_TOKEN_BEDROCK: made.token }
    expect(JSON.parse((await run('aws', [...command, ...messages], { env, timeout: TIMEOUT_MS })).stdout)).toMatchObject({ stopReason: 'end_turn' })
  },
  TIMEOUT_MS,
)
