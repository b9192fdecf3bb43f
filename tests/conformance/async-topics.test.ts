/** Where notifications may go is the operator's to say, and what cannot be is told at start. */
import { expect, test } from 'vitest'
import { parsePlatformFile } from '#config/platform-file'
import { startComposedServer } from './composed-server.ts'
import { FakeModel } from './fake-model.ts'

const EGRESS = 'egress: { hosts: [{ host: hooks.example }] }\n'

function fileWith(topic: string, more = ''): string {
  return `${EGRESS}asyncInference: { topics: [${topic}]${more} }`
}

process.env['INFERD_TEST_TOPIC_SECRET'] = 'secret'
const SECRET = 'secret: env:INFERD_TEST_TOPIC_SECRET'

test.each([
  ['a host that is not listed', fileWith(`{ name: a, url: 'https://elsewhere.example/', ${SECRET} }`), "'elsewhere.example' is not in egress.hosts"],
  ['the metadata service', fileWith(`{ name: a, url: 'http://169.254.169.254/', ${SECRET} }`), 'is not in egress.hosts'],
  ['a file', fileWith(`{ name: a, url: 'file:///etc/passwd', ${SECRET} }`), 'http or https'],
  ['a URL with a password', fileWith(`{ name: a, url: 'https://u:p@hooks.example/', ${SECRET} }`), 'no user'],
  ['a secret that is not there', fileWith(`{ name: a, url: 'https://hooks.example/', secret: 'env:INFERD_TEST_NO_SECRET' }`), 'there is no secret'],
  [
    'two topics of one name',
    fileWith(`{ name: a, url: 'https://hooks.example/', ${SECRET} }, { name: a, url: 'https://hooks.example/b', ${SECRET} }`),
    'a name of its own',
  ],
  ['a topic that is nowhere', fileWith(`{ name: a, url: 'https://hooks.example/', ${SECRET} }`, ', successTopics: [b]'), "no topic 'b'"],
  [
    'a topic of an endpoint that is nowhere',
    fileWith(`{ name: a, url: 'https://hooks.example/', ${SECRET} }`, ', endpoints: { chat: { errorTopics: [c] } }'),
    "no topic 'c'",
  ],
])('the server does not start with %s', async (_name, yaml, words) => {
  await expect(startComposedServer(yaml, [new FakeModel()])).rejects.toMatchObject({
    code: 'invalid_parameter',
    message: expect.stringContaining(words) as string,
  })
})

test.each([
  ['a secret in the file', `asyncInference: { topics: [{ name: a, url: 'https://hooks.example/', secret: 'hunter2' }] }`, 'secret'],
  ['an output folder that is a path', 'asyncInference: { outputLocation: /var/out }', 'outputLocation'],
  ['an output folder that leads out of its bucket’s name', "asyncInference: { outputLocation: 's3://b' }", 'outputLocation'],
  ['an endpoint with a name of no endpoint', 'asyncInference: { endpoints: { a_b: {} } }', 'endpoints'],
  ['no places at all', 'asyncInference: { maxConcurrentInvocations: 0 }', 'maxConcurrentInvocations'],
])('the file is refused for %s', (_name, yaml, field) => {
  expect(() => parsePlatformFile(yaml, 'platform.yaml')).toThrow(field)
})
