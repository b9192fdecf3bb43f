/**
 * The tables, as kysely sees them. Text, integers, JSON as text, epoch milliseconds, money as text of picodollars: what SQLite and
 * PostgreSQL understand alike. Each row type stands beside the module that owns its SQL.
 */

import type { ReservationRow, UsageRow } from './usage-table.ts'
import type { UsageGroupRow } from './usage-groups.ts'
import type { AuditHeadRow } from './audit-table.ts'
import type { ApiKeyRow, TeamRow } from './keys-table.ts'
import type { FileRow } from './file-rows.ts'
import type { JobHolderRow, JobLabelRow, JobLineRow, JobRecordRow, JobRow } from './job-rows.ts'
import type { NotificationRow } from './notification-rows.ts'
import type { LeaderRow, PeerRow } from './peer-rows.ts'
import type { ResourceRow } from './resource-rows.ts'
import type { ResponseRow } from './response-rows.ts'
import type { GuardrailRequestRow } from './guardrail-requests.ts'
import type { GuardrailRow } from './guardrails-table.ts'

export interface Schema {
  readonly guardrail: GuardrailRow
  readonly guardrail_request: GuardrailRequestRow
  readonly response: ResponseRow
  readonly file: FileRow
  readonly job: JobRow
  readonly job_label: JobLabelRow
  readonly job_line: JobLineRow
  readonly job_holder: JobHolderRow
  readonly job_record: JobRecordRow
  readonly notification: NotificationRow
  readonly resource: ResourceRow
  readonly peer: PeerRow
  readonly leader: LeaderRow
  readonly migration: MigrationRow
  readonly usage: UsageRow
  readonly usage_group: UsageGroupRow
  readonly reservation: ReservationRow
  readonly api_key: ApiKeyRow
  readonly team: TeamRow
  readonly audit_head: AuditHeadRow
}

export interface MigrationRow {
  readonly number: number
  readonly name: string
  readonly applied_ms: number
}
