/** Values on their way to PostgreSQL and back, so that queries find what SQLite would give them. */
import type { SqlValue } from './store-messages.ts'

/** pg_type.dat of PostgreSQL. */
const BOOL = 16
const INT8 = 20
const INT2 = 21
const INT4 = 23
const FLOAT8 = 701
const NUMERIC = 1700

export const POSTGRES_TYPES = { getTypeParser: (oid: number): ((text: string) => unknown) => PARSERS.get(oid) ?? ((text) => text) }

const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [BOOL, (text) => (text === 't' ? 1 : 0)],
  [INT8, Number],
  [INT2, Number],
  [INT4, Number],
  [FLOAT8, Number],
  // A sum of bigints. Past 2^53 it stays text, which BigInt reads.
  [NUMERIC, (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : text)],
])

/** Its texts have no U+0000: that becomes U+FFFD, so that no row from a caller can stop the rows beside it. */
export function toPostgres(value: SqlValue): SqlValue {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value
}
