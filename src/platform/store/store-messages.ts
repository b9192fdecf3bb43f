/** What the store and its thread say to each other. */

/** What SQLite stores; JSON and money travel as text. */
export type SqlValue = null | number | bigint | string | Uint8Array

export interface StoreQuery {
  readonly id: number
  readonly sql: string
  readonly parameters: readonly SqlValue[]
}

export interface StoreThreadData {
  /** null = in memory. */
  readonly file: string | null
  readonly busyTimeoutMs: number
}

export type StoreAnswer =
  | { readonly id: number; readonly rows: readonly Readonly<Record<string, SqlValue>>[]; readonly numChanges: number }
  /** `isConflict`: a unique or foreign key stood against it. `isBroken`: the disk failed, nothing may be trusted any more. */
  | { readonly id: number; readonly error: string; readonly isConflict: boolean; readonly isBroken: boolean }
