/**
 * The tables, as kysely sees them. Text, integers, JSON as text, epoch milliseconds, money as text of picodollars: what SQLite and
 * PostgreSQL understand alike. Each row type stands beside the module that owns its SQL.
 */

export interface Schema {
  readonly migration: MigrationRow
}

export interface MigrationRow {
  readonly number: number
  readonly name: string
  readonly applied_ms: number
}
