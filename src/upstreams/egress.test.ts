import { expect, test } from 'vitest'
import { Egress, judgeAddress } from './egress.ts'
import { UpstreamClient } from './upstream-client.ts'

const NEVER = new AbortController().signal

test.each([
  ['8.8.8.8', 'public'],
  ['2606:4700::1111', 'public'],
  ['127.0.0.1', 'private'],
  ['10.1.2.3', 'private'],
  ['172.31.0.1', 'private'],
  ['192.168.1.1', 'private'],
  ['100.64.0.1', 'private'],
  ['198.18.0.1', 'private'],
  ['::1', 'private'],
  ['fd12::1', 'private'],
  ['2001:db8::1', 'private'],
  ['2002:7f00:1::', 'private'],
  ['::ffff:127.0.0.1', 'private'],
  ['::ffff:8.8.8.8', 'public'],
  ['::127.0.0.1', 'private'],
  ['64:ff9b::10.0.0.1', 'private'],
  ['169.254.169.254', 'never'],
  ['::ffff:169.254.169.254', 'never'],
  ['64:ff9b::a9fe:a9fe', 'never'],
  ['fd00:ec2::254', 'never'],
  ['fe80::1', 'never'],
  ['0.0.0.0', 'never'],
  ['::', 'never'],
  ['224.0.0.1', 'never'],
  ['255.255.255.255', 'never'],
  ['', 'never'],
  ['0x7f.1', 'never'],
] as const)('the address %s is %s', (address, judgement) => {
  expect(judgeAddress(address)).toBe(judgement)
})

/** A resolver that no test may reach. */
async function trap(): Promise<never> {
  return expect.unreachable('a resolver was asked')
}

test.each([
  'http://169.254.169.254/latest',
  'http://[::ffff:127.0.0.1]/',
  'http://0x7f.1/',
  'http://2130706433/',
  'file:///etc/passwd',
  '\\\\host\\share',
  'ftp://allowed.example/',
  'http://user:key@allowed.example/',
  'http://allowed.example.evil.example/',
  'http://allowed.example/?a=1',
  'http://localhost/',
  'not a url',
])('%s is refused before anything is asked', (url) => {
  expect(() => new Egress([{ host: 'allowed.example', allowPrivate: false }], trap).checkUrl(url)).toThrow(/egress|URL/)
})

test('another spelling of a listed address is that address, and must still be allowed to be private', async () => {
  const url = new Egress([{ host: '127.0.0.1', allowPrivate: false }], trap).checkUrl('http://0x7f.1:8000/v1')
  await expect(new Egress([{ host: '127.0.0.1', allowPrivate: false }], trap).addressOf(url)).rejects.toMatchObject({ code: 'upstream_failed' })
  expect(await new Egress([{ host: '127.0.0.1', allowPrivate: true }], trap).addressOf(url)).toEqual({ address: '127.0.0.1', family: 4 })
})

test('a listed name with a private address, or with one among public ones, is not connected to', async () => {
  const url = new URL('http://allowed.example/')
  const answering = (...addresses: string[]) =>
    new Egress([{ host: 'allowed.example', allowPrivate: false }], async () => addresses.map((address) => ({ address, family: 4 as const })))
  await expect(answering('10.0.0.1').addressOf(url)).rejects.toMatchObject({ code: 'upstream_failed' })
  await expect(answering('8.8.8.8', '10.0.0.1').addressOf(url)).rejects.toMatchObject({ code: 'upstream_failed' })
  await expect(answering().addressOf(url)).rejects.toMatchObject({ code: 'upstream_failed' })
  expect(await answering('8.8.8.8').addressOf(url)).toMatchObject({ address: '8.8.8.8' })
})

test('metadata services stay out of reach even when they are listed', async () => {
  const egress = new Egress([{ host: '169.254.169.254', allowPrivate: true }], trap)
  await expect(egress.addressOf(new URL('http://169.254.169.254/'))).rejects.toMatchObject({ code: 'upstream_failed' })
})

test('a name that is rebound between two looks is judged at the connection itself', async () => {
  let numLooks = 0
  const rebinding = async () => [{ address: numLooks++ === 0 ? '8.8.8.8' : '127.0.0.1', family: 4 as const }]
  const client = new UpstreamClient(new Egress([{ host: 'rebound.example', allowPrivate: false }], rebinding))
  const post = { url: new URL('http://rebound.example:9/'), headers: {}, body: '' }
  await expect(client.postWhole('m', post, NEVER)).rejects.toMatchObject({ code: 'upstream_failed', message: /not allowed/ })
  await client.close()
})
