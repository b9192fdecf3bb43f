/** boto3 and the aws CLI with temporary credentials, and getting them by themselves; only where this machine has them. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'
import { type KeyedServer, startKeyedServer, TERMS } from './keyed-server.ts'

const run = promisify(execFile)
const CLIENT = join(import.meta.dirname, 'python/temporary_credentials.py')

let target: KeyedServer
let longTerm: { readonly accessKeyId: string; readonly secretAccessKey: string }

beforeAll(async () => {
  target = await startKeyedServer()
  const made = await target.keys.create('signing', { ...TERMS, scopes: ['inference', 'read'] })
  if (made.kind !== 'signing') throw new Error('kind')
  longTerm = { accessKeyId: made.id, secretAccessKey: made.secret }
})

afterAll(() => target.stop())

test.runIf(hasCommand('python3', '-c', 'import boto3'))(
  'boto3 calls with a session, is refused without asking again, and gets a session from GetSessionToken',
  async () => {
    const session = await target.keys.issue(longTerm.accessKeyId, 900)
    const args = [CLIENT, target.url, JSON.stringify(longTerm), JSON.stringify(session)]
    const { stdout } = await run('python3', args, { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS })
    const stranger = ['UnrecognizedClientException', 403, 0]
    expect(JSON.parse(stdout)).toEqual({
      converse: 'end_turn',
      invoke: 200,
      presigned: 200,
      other_query: 401,
      bare: stranger,
      tampered: stranger,
      of_a_key: stranger,
      issued: ['end_turn', 720],
      issued_for_15_minutes: ['end_turn', 15],
      issued_too_long: ['ValidationError', 400, 0],
      issued_by_a_session: ['AccessDenied', 403, 0],
      issued_to_a_stranger: ['InvalidClientTokenId', 403, 0],
      issued_with_a_wrong_secret: ['SignatureDoesNotMatch', 403, 0],
      issued_with_a_second_factor: ['ValidationError', 400, 0],
      identity: ['InvalidAction', 400, 0],
    })
  },
  COMMAND_TIMEOUT_MS,
)

test.runIf(hasCommand('aws', '--version'))(
  'the aws CLI gets a session and calls with it',
  async () => {
    const at = ['--endpoint-url', target.url, '--output', 'json']
    const { AWS_BEARER_TOKEN_BEDROCK: _token, AWS_PROFILE: _profile, ...rest } = AWS_ENVIRONMENT as NodeJS.ProcessEnv
    const env = { ...rest, AWS_ACCESS_KEY_ID: longTerm.accessKeyId, AWS_SECRET_ACCESS_KEY: longTerm.secretAccessKey }
    const got = await run('aws', ['sts', 'get-session-token', '--duration-seconds', '3600', ...at], { env, timeout: COMMAND_TIMEOUT_MS })
    const { Credentials: issued } = JSON.parse(got.stdout) as { readonly Credentials: Readonly<Record<string, string>> }
    expect(issued['AccessKeyId']).toMatch(/^ASIA/)
    const session = {
      AWS_ACCESS_KEY_ID: issued['AccessKeyId'],
      AWS_SECRET_ACCESS_KEY: issued['SecretAccessKey'],
      AWS_SESSION_TOKEN: issued['SessionToken'],
    }
    const messages = ['--messages', JSON.stringify([{ role: 'user', content: [{ text: 'Hi' }] }])]
    const command = ['bedrock-runtime', 'converse', '--model-id', 'fake-model', ...messages, ...at]
    const answer = await run('aws', command, { env: { ...env, ...session }, timeout: COMMAND_TIMEOUT_MS })
    expect(JSON.parse(answer.stdout)).toMatchObject({ stopReason: 'end_turn' })
  },
  COMMAND_TIMEOUT_MS,
)
