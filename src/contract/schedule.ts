/** When a scheduled action is due: `at(...)`, `rate(...)`, `cron(...)` of six fields as EventBridge has them. */
import type { Schedule, ScheduledAction } from '#contract/scaling'
import { InferdError } from '#contract/errors'

const MINUTE_MS = 60_000
/** A look that was so late still does what was due. */
const MAX_MISSED_MINUTES = 60
const UNITS_MS: Readonly<Record<string, number>> = { minute: MINUTE_MS, hour: 3_600_000, day: 86_400_000 }
const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

interface CronField {
  readonly name: string
  readonly min: number
  readonly max: number
  /** Of `min` and up. */
  readonly words: readonly string[]
}

const FIELDS: readonly CronField[] = [
  { name: 'minutes', min: 0, max: 59, words: [] },
  { name: 'hours', min: 0, max: 23, words: [] },
  { name: 'day-of-month', min: 1, max: 31, words: [] },
  { name: 'month', min: 1, max: 12, words: MONTHS },
  { name: 'day-of-week', min: 1, max: 7, words: DAYS },
  { name: 'year', min: 1970, max: 2199, words: [] },
]

/** Throws invalid_parameter for what is no schedule, and unsupported_parameter for L, W and #. */
export function parseSchedule(text: string, timezone: string): Schedule {
  requireTimezone(timezone)
  const [, kind, inner = ''] = /^(at|rate|cron)\((.*)\)$/.exec(text) ?? []
  if (kind === 'rate') return parseRate(inner)
  if (kind === 'at') return { kind: 'at', atMs: parseAt(inner, timezone) }
  if (kind !== 'cron') throw invalid('must be at(yyyy-mm-ddThh:mm:ss), rate(N minutes|hours|days) or cron(six fields)')
  parseCron(inner)
  return { kind: 'cron', expression: inner }
}

/** Whether it is due between the two times, the second one included; both epoch milliseconds. */
export function isDue({ schedule, timezone, createdMs, startMs, endMs }: ScheduledAction, afterMs: number, untilMs: number): boolean {
  if ((startMs !== null && untilMs < startMs) || (endMs !== null && untilMs > endMs)) return false
  switch (schedule.kind) {
    case 'at':
      return untilMs >= schedule.atMs
    case 'rate':
      return Math.floor((untilMs - createdMs) / schedule.everyMs) > Math.max(0, Math.floor((afterMs - createdMs) / schedule.everyMs))
    case 'cron': {
      const last = Math.floor(untilMs / MINUTE_MS)
      const first = Math.max(Math.floor(afterMs / MINUTE_MS) + 1, last - MAX_MISSED_MINUTES)
      for (let minute = first; minute <= last; minute++) if (cronMatches(schedule.expression, partsIn(minute * MINUTE_MS, timezone))) return true
      return false
    }
  }
}

interface LocalTime {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  /** 1 = Sunday. */
  readonly weekday: number
}

function cronMatches(expression: string, { minute, hour, day, month, weekday, year }: LocalTime): boolean {
  const values = [minute, hour, day, month, weekday, year]
  return parseCron(expression).every((allowed, index) => allowed === null || allowed.has(values[index]!))
}

/** Allowed values by field; null = any. Of day-of-month and day-of-week one must be `?`. */
function parseCron(text: string): readonly (ReadonlySet<number> | null)[] {
  const words = text.trim().split(/\s+/)
  if (words.length !== FIELDS.length) throw invalid('cron has six fields: minutes hours day-of-month month day-of-week year')
  if ((words[2] === '?') === (words[4] === '?')) throw invalid('cron: exactly one of day-of-month and day-of-week must be ?')
  return words.map((word, index) => parseField(word, FIELDS[index]!))
}

function parseField(word: string, field: CronField): ReadonlySet<number> | null {
  if (word === '*' || word === '?') return null
  if (/[LW#]/.test(word.replace(/[A-Z]{3}/g, ''))) throw new InferdError('unsupported_parameter', `cron: L, W and # are not offered (${field.name})`)
  const values = new Set<number>()
  for (const part of word.split(',')) for (const value of rangeOf(part, field)) values.add(value)
  return values
}

function* rangeOf(part: string, field: CronField): Generator<number> {
  const [range = '', stepText] = part.split('/')
  const step = stepText === undefined ? 1 : Number(stepText)
  const [fromText = '', toText] = range.split('-')
  const from = range === '*' ? field.min : valueOf(fromText, field)
  const to = range === '*' || (toText === undefined && stepText !== undefined) ? field.max : valueOf(toText ?? fromText, field)
  if (!Number.isInteger(step) || step < 1 || from > to) throw invalid(`cron: '${part}' is no range of ${field.name}`)
  for (let value = from; value <= to; value += step) yield value
}

function valueOf(text: string, { name, min, max, words }: CronField): number {
  const index = words.indexOf(text.toUpperCase())
  const value = index >= 0 ? index + min : /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min && value <= max)) throw invalid(`cron: '${text}' is no value of ${name} (${min} to ${max})`)
  return value
}

function parseRate(text: string): Schedule {
  const [, count = '', unit = ''] = /^([1-9]\d{0,5}) (minute|hour|day)s?$/.exec(text) ?? []
  const everyMs = Number(count) * (UNITS_MS[unit] ?? Number.NaN)
  if (!(everyMs > 0)) throw invalid('rate must be as in rate(5 minutes)')
  return { kind: 'rate', everyMs }
}

/** The wall time in its zone. */
function parseAt(text: string, timezone: string): number {
  const utcMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text) ? Date.parse(`${text.length === 16 ? `${text}:00` : text}Z`) : Number.NaN
  if (Number.isNaN(utcMs)) throw invalid('at must be as in at(2027-01-31T08:00:00)')
  // The offset there, asked for twice: the first answer may lie on the other side of a change of the clocks.
  const first = utcMs - offsetMs(utcMs, timezone)
  return utcMs - offsetMs(first, timezone)
}

function offsetMs(atMs: number, timezone: string): number {
  const { year, month, day, hour, minute, second } = partsIn(atMs, timezone)
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1000) * 1000
}

function partsIn(atMs: number, timezone: string): LocalTime {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
    weekday: 'short',
  })
  const parts = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, value]))
  const number = (type: string): number => Number(parts[type])
  return {
    year: number('year'),
    month: number('month'),
    day: number('day'),
    hour: number('hour'),
    minute: number('minute'),
    second: number('second'),
    weekday: DAYS.indexOf(String(parts['weekday']).toUpperCase()) + 1,
  }
}

function requireTimezone(timezone: string): void {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: timezone })
  } catch {
    throw new InferdError('invalid_parameter', `'${timezone.slice(0, 64)}' is no time zone`, { param: 'Timezone' })
  }
}

function invalid(words: string): InferdError {
  return new InferdError('invalid_parameter', words, { param: 'Schedule' })
}
