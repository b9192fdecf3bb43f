/** The words of a key's terms on the command line: scopes, limits, durations. */
import { int } from '#config/setting'
import { InferdError } from '#contract/errors'
import { type CallerLimits, NO_LIMITS, type Scope } from '#contract/principal'

export type Flags = Readonly<Record<string, string | undefined>>

const SCOPES: readonly Scope[] = ['inference', 'read', 'operate', 'admin']
const PERIODS: readonly CallerLimits['budgetPeriod'][] = ['day', 'month', 'total']
const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const MAX_NAME_LENGTH = 128
const MAX_COUNT = 1e12
const MAX_DAYS = 36_500

export function parseScopes(text: string): readonly Scope[] {
  return text.split(',').map((word) => {
    const scope = SCOPES.find((known) => known === word.trim())
    if (scope === undefined) throw invalid('--scope', `must be one or more of ${SCOPES.join(', ')}, not '${word}'`)
    return scope
  })
}

/** `90d`, `12h`; a length of time. */
export function parseDuration(text: string, flag: string): number {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const durationMs = Number(count) * (UNITS_MS[unit] ?? Number.NaN)
  if (!(durationMs <= MAX_DAYS * 86_400_000)) throw invalid(flag, `must be a length of time as 30m, 12h or 90d, not '${text}'`)
  return durationMs
}

/** A whole number of them, as AWS counts. */
export function parseSeconds(text: string, flag: string, { min, max }: { readonly min: number; readonly max: number }): number {
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (!(seconds >= min && seconds <= max)) throw invalid(flag, `must be a number of seconds from ${min} to ${max}, not '${text}'`)
  return seconds
}

/** Of keys and teams: no control characters, so that lists stay one line an entry. */
export function parseName(text: string, flag: string): string {
  if (text.length > 0 && text.length <= MAX_NAME_LENGTH && /^[^\p{C}]+$/u.test(text)) return text
  throw invalid(flag, `must be 1 to ${MAX_NAME_LENGTH} characters without control characters`)
}

/** Only what the flags name; the word `none` takes a limit away. */
export function parseLimits(flags: Flags): Partial<CallerLimits> {
  const limits: { -readonly [Name in keyof CallerLimits]?: CallerLimits[Name] } = {}
  const { rpm, tpm, concurrent, budgetUsd, budgetPeriod } = flags
  if (rpm !== undefined) limits.requestsPerMinute = count(rpm, '--rpm')
  if (tpm !== undefined) limits.tokensPerMinute = count(tpm, '--tpm')
  if (concurrent !== undefined) limits.maxConcurrentRequests = count(concurrent, '--concurrent')
  if (budgetUsd !== undefined) limits.budgetUsd = money(budgetUsd)
  if (budgetPeriod !== undefined) limits.budgetPeriod = period(budgetPeriod)
  return limits
}

/** `60 requests/min, $5 a month`; `none`. */
export function limitsText({ requestsPerMinute, tokensPerMinute, maxConcurrentRequests, budgetUsd, budgetPeriod }: CallerLimits): string {
  const parts = [
    requestsPerMinute === null ? '' : `${requestsPerMinute} requests/min`,
    tokensPerMinute === null ? '' : `${tokensPerMinute} tokens/min`,
    maxConcurrentRequests === null ? '' : `${maxConcurrentRequests} at a time`,
    budgetUsd === null ? '' : `$${budgetUsd} ${budgetPeriod === 'total' ? 'in total' : `a ${budgetPeriod}`}`,
  ].filter((part) => part !== '')
  return parts.length === 0 ? 'none' : parts.join(', ')
}

function count(text: string, flag: string): number | null {
  return text === 'none' ? null : int({ default: null, min: 1, max: MAX_COUNT, doc: '' }).parse(text, flag)
}

function money(text: string): number | null {
  if (text === 'none') return null
  if (/^\d{1,9}(\.\d{1,6})?$/.test(text)) return Number(text)
  throw invalid('--budget-usd', `must be an amount of dollars as 25 or 0.50, or none, not '${text}'`)
}

function period(text: string): CallerLimits['budgetPeriod'] {
  const found = PERIODS.find((known) => known === text)
  if (found === undefined)
    throw invalid('--budget-period', `must be one of ${PERIODS.join(', ')}, not '${text}' (default: ${NO_LIMITS.budgetPeriod})`)
  return found
}

function invalid(flag: string, problem: string): InferdError {
  return new InferdError('invalid_parameter', `${flag} ${problem}`, { param: flag })
}
