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
