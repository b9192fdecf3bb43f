import { expect, test } from 'vitest'
import type { ProtocolFamily } from '#server/operation'
import { FamilyTable } from './family-table.ts'

function familyAt(pathPrefix: string): ProtocolFamily {
  return { name: pathPrefix, pathPrefixes: [pathPrefix], routes: [], encodeError: () => ({ status: 500, headers: {}, body: '' }) }
}

test('errors have the shape of the family with the longest matching prefix; the first family speaks everywhere else', () => {
  const families = new FamilyTable([familyAt('/v1/'), familyAt('/api/'), familyAt('/v1/messages')])
  const paths = ['/v1/nothing', '/v1/messages/count_tokens', '/api/chat', '/', '*', '/readyz']
  expect(paths.map((path) => families.of(path, {}).name)).toEqual(['/v1/', '/v1/messages', '/api/', '/v1/', '/v1/', '/v1/'])
})

test('a family may claim callers whom no path tells', () => {
  const claiming: ProtocolFamily = { ...familyAt('/none'), claims: (path, headers) => path === '/' && headers['x-form'] === '1' }
  const families = new FamilyTable([familyAt('/v1/'), claiming])
  const names = [families.of('/', { 'x-form': '1' }), families.of('/', {}), families.of('/v1/x', { 'x-form': '1' })].map(({ name }) => name)
  expect(names).toEqual(['/none', '/v1/', '/v1/'])
})

test('a header that only one family sends decides under its prefix', () => {
  const marked: ProtocolFamily = { ...familyAt('/v1/messages'), headerMark: { name: 'x-mark', pathPrefix: '/v1/' } }
  const families = new FamilyTable([familyAt('/v1/'), marked])
  const found = ['/v1/models', '/v1/messages', '/other'].map((path) => [families.of(path, {}).name, families.of(path, { 'x-mark': '1' }).name])
  expect(found).toEqual([
    ['/v1/', '/v1/messages'],
    ['/v1/messages', '/v1/messages'],
    ['/v1/', '/v1/'],
  ])
})
