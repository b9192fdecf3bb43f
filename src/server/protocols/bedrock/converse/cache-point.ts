/** `cachePoint`, wherever it may stand. The TTL is the prefix cache's own: both values are taken. */
import type { Fields } from '#server/fields'

export function checkCachePoint(union: Fields): void {
  const point = union.requiredFields('cachePoint')
  point.check({ type: 'read', ttl: 'read' })
  if (point.word('type', ['default']) === null) throw point.missing('type')
  point.word('ttl', ['5m', '1h'])
}
