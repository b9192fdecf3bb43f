/** What the ledger of a data directory says, read beside the server that writes it. */
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export interface LedgerRow {
  readonly requestId: string
  readonly error: string | null
  /** Picodollars. */
  readonly cost: bigint
}

const PICOS_PER_MICRO = 1_000_000n
const PICO_DIGITS = 12

export function readLedger(dataDir: string): readonly LedgerRow[] {
  const rows = inStore(dataDir, 'select request_id, error, cost_micros, cost_rest from usage')
  return rows.map((row) => ({
    requestId: row['request_id'] as string,
    error: row['error'] as string | null,
    cost: BigInt(row['cost_micros'] as number) * PICOS_PER_MICRO + BigInt(row['cost_rest'] as number),
  }))
}

export interface CacheHit {
  readonly cachedTokens: number
  /** `none`, `exact` or `semantic`. */
  readonly responseCache: string
}

/** By request id. */
export function readCacheHits(dataDir: string): ReadonlyMap<string, CacheHit> {
  const rows = inStore(dataDir, 'select request_id, cached_tokens, response_cache from usage')
  return new Map(
    rows.map((row) => [
      row['request_id'] as string,
      { cachedTokens: row['cached_tokens'] as number, responseCache: row['response_cache'] as string },
    ]),
  )
}

/** Reservations of calls that are not settled. */
export function countReservations(dataDir: string): number {
  return inStore(dataDir, 'select id from reservation').length
}

/** `0.000123` as picodollars; exact. */
export function picosOf(usd: string): bigint {
  const [whole = '0', digits = ''] = usd.split('.')
  return BigInt(whole + digits.padEnd(PICO_DIGITS, '0'))
}

function inStore(dataDir: string, query: string): readonly Readonly<Record<string, unknown>>[] {
  const store = new DatabaseSync(path.join(dataDir, 'inferd.sqlite'), { readOnly: true })
  try {
    return store.prepare(query).all()
  } finally {
    store.close()
  }
}
