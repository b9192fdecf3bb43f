/** What stands behind routes that are no model calls: ports that the platform implements; null = this server has none. */
import type { GuardrailService } from '#contract/guardrail'
import type { UsageReports } from '#contract/usage-record'

export interface ServerServices {
  readonly guardrails: GuardrailService | null
  readonly usage: UsageReports | null
}

export const NO_SERVICES: ServerServices = { guardrails: null, usage: null }
