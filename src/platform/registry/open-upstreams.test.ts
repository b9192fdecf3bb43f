import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { egressSection, upstreamsSection } from '#config/platform-file/upstreams'
import { responseCacheSection } from '#config/platform-file/response-cache'
import { routesSection } from '#config/platform-file/routes'
import { routeDefinitions, RouteTable } from '#platform/routing/route-table'
import { openUpstreams } from './open-upstreams.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-secret-'))
afterAll(() => rmSync(folder, { recursive: true }))
const keyFile = path.join(folder, 'key')
writeFileSync(keyFile, 'sk-very-secret\n')

const entry = {
  dialect: 'openai',
  baseUrl: 'http://vllm.example:8000/v1',
  apiKey: keyFile,
  models: [{ name: 'm', remoteModel: 'r', contextLength: 4096 }],
}

function open(more: object = {}, hosts: readonly object[] = [{ host: 'vllm.example', allowPrivate: true }]) {
  return openUpstreams({ upstreams: upstreamsSection.parse([{ ...entry, ...more }]), egress: egressSection.parse({ hosts }), clock: new FakeClock() })
}

test('an upstream of the file is a model that is ready at once', async () => {
  const [upstream] = open()
  expect(upstream!.models[0]).toMatchObject({ name: 'm', state: { kind: 'ready', facts: { contextLength: 4096 } } })
  await upstream!.close()
})

test('what the operator must mend is said at the start, without the secret', () => {
  expect(() => open({}, [])).toThrow("'vllm.example' is not in egress.hosts")
  expect(() => open({ apiKey: '/nowhere/key' })).toThrow('/nowhere/key')
  expect(() => open({ dialect: 'bedrock', apiKey: null })).toThrow('bedrock needs')
  expect(() => open({ accessKeyId: keyFile })).toThrow('come together')
  writeFileSync(path.join(folder, 'bad'), 'sk-one\nsk-two')
  expect(() => open({ apiKey: path.join(folder, 'bad') })).toThrow(/^(?!.*sk-).*one line/)
  expect(() => open({ apiKey: 'env:INFERD_TEST_NO_SUCH_NAME' })).toThrow('INFERD_TEST_NO_SUCH_NAME')
  expect(upstreamsSection.safeParse([{ ...entry, apiKey: 'sk-very-secret' }]).success).toBe(false)
})

test('routes of the file become routes, and default to none of what costs', () => {
  const entries = routesSection.parse([{ name: 'fast', models: [{ model: 'm' }], fallbacks: [{ model: 'n' }], firstPieceTimeoutS: 2 }])
  const table = new RouteTable(routeDefinitions(entries), () => true)
  expect(table.find('fast')).toMatchObject({
    variants: [{ model: 'm', weight: 1 }],
    fallbacks: [{ model: 'n', on: ['busy', 'failed', 'timeout', 'loading'] }],
    maxRetries: 0,
    firstPieceTimeoutMs: 2000,
    hedge: null,
  })
  expect(responseCacheSection.parse({})).toMatchObject({ byDefault: 'off', allowed: 'off' })
  expect(responseCacheSection.safeParse({ byDefault: 'exact' }).success).toBe(false)
})
