/** The options of `inferd bench` as a plan; each refusal names its flag. */
import { randomSeed } from '#base/random'
import { type BenchPlan, MAX_REQUESTS } from '#bench/measure-server'
import type { ArrivalProcess, Load } from '#bench/load'
import type { Objective } from '#bench/objective'
import { apiBase, type BenchEndpoint } from '#bench/openai-server'
import type { TokenRange } from '#bench/prompt-maker'
import { readConfig } from '#config/read-config'
import { CLIENT_SETTINGS } from '#config/schema'
import { InferdError } from '#contract/errors'

/** As commander gives them; defaults are its own. */
export interface BenchFlags {
  readonly url?: string
  readonly key?: string
  readonly model?: string
  readonly endpoint?: BenchEndpoint
  readonly concurrency?: string
  readonly rate?: string
  readonly arrivals: ArrivalProcess
  readonly maxConcurrency: string
  readonly requests?: string
  readonly duration?: string
  readonly promptTokens: string
  readonly outputTokens: string
  readonly prefixTokens: string
  readonly promptIds?: string
  readonly ignoreEos: boolean
  readonly extraBody?: string
  readonly stream: boolean
  readonly slo?: string
  readonly warmup: string
  readonly seed?: string
  readonly timeout: string
  readonly explain?: true
  readonly json?: string
  readonly html?: string
  readonly svg?: string
}

export interface BenchArguments {
  /** But for the model, where none was named. */
  readonly plan: BenchPlan
  /** null = the server's only one. */
  readonly model: string | null
  readonly isExplained: boolean
  /** '-' = standard output. */
  readonly json: string | null
  readonly html: string | null
  readonly svg: string | null
}

const MAX_LEVELS = 32
const MAX_TOKENS = 10_000_000
const MAX_CONCURRENCY = 16_384
const DEFAULT_CONCURRENCY = '1,4,16'
const OBJECTIVES = { ttft: 'ttftMs', tpot: 'tpotMs', e2e: 'e2eMs' } as const
/** vLLM's name of it. */
const VLLM_E2E = 'e2el'

/** Throws invalid_parameter. */
export function benchArguments(flags: BenchFlags): BenchArguments {
  const { url, key } = readConfig(CLIENT_SETTINGS, { url: flags.url, key: flags.key })
  apiBase(url)
  const maxInFlight = whole(flags.maxConcurrency, '--max-concurrency', 1, MAX_CONCURRENCY)
  const loads = loadsOf(flags)
  const objective = flags.slo === undefined ? null : objectiveOf(flags.slo, flags.stream)
  const promptIds = flags.promptIds === undefined ? null : range(flags.promptIds, '--prompt-ids', 0, 2 ** 31 - 1)
  const endpoint = flags.endpoint ?? (promptIds === null ? 'chat' : 'completions')
  if (promptIds !== null && endpoint === 'chat') throw refusal('--prompt-ids', 'is for --endpoint completions: chat messages are text')
  const numCallers = loads.map((load) => (load.kind === 'closed' ? load.concurrency : maxInFlight))
  return {
    plan: {
      target: {
        url,
        key,
        model: flags.model ?? '',
        endpoint,
        isStreamed: flags.stream,
        extraBody: { ...(flags.ignoreEos ? { ignore_eos: true } : {}), ...extraBodyOf(flags.extraBody) },
        timeoutMs: positive(flags.timeout, '--timeout', 86_400) * 1000,
        maxConnections: Math.max(...numCallers),
      },
      loads,
      numRequests: flags.requests === undefined ? null : whole(flags.requests, '--requests', 1, MAX_REQUESTS),
      durationMs: flags.duration === undefined ? null : positive(flags.duration, '--duration', 86_400) * 1000,
      maxInFlight,
      shape: {
        promptTokens: range(flags.promptTokens, '--prompt-tokens', 1, MAX_TOKENS),
        outputTokens: range(flags.outputTokens, '--output-tokens', 1, MAX_TOKENS),
        prefixTokens: whole(flags.prefixTokens, '--prefix-tokens', 0, MAX_TOKENS),
      },
      promptIds,
      objective,
      numWarmUps: whole(flags.warmup, '--warmup', 0, 10_000),
      seed: flags.seed === undefined ? randomSeed() : whole(flags.seed, '--seed', 0, 2 ** 32 - 1),
    },
    model: flags.model ?? null,
    isExplained: flags.explain === true,
    json: flags.json ?? null,
    html: flags.html ?? null,
    svg: flags.svg ?? null,
  }
}

/** Closed ones before open ones, each in the order in which they were given. */
function loadsOf({ concurrency, rate, arrivals }: BenchFlags): Load[] {
  const closed = concurrency ?? (rate === undefined ? DEFAULT_CONCURRENCY : null)
  const loads: Load[] = [
    ...(closed === null
      ? []
      : closed.split(',').map((text) => ({ kind: 'closed', concurrency: whole(text, '--concurrency', 1, MAX_CONCURRENCY) }) as const)),
    ...(rate === undefined ? [] : rate.split(',').map((text) => ({ kind: 'open', ratePerS: rateOf(text), process: arrivals }) as const)),
  ]
  if (loads.length > MAX_LEVELS)
    throw refusal('--concurrency and --rate', `make ${loads.length} levels; at most ${MAX_LEVELS} are measured in one run`)
  return loads
}

function rateOf(text: string): number {
  return text.trim() === 'inf' ? Infinity : positive(text, '--rate', 100_000)
}

function objectiveOf(text: string, isStreamed: boolean): Objective {
  const limits: Record<keyof Objective, number | null> = { ttftMs: null, tpotMs: null, e2eMs: null }
  for (const part of text.split(/[,\s]+/)) {
    const [, given = '', limit = ''] = /^(\w+):(.+)$/.exec(part) ?? []
    const name = given === VLLM_E2E ? 'e2e' : given
    if (!Object.hasOwn(OBJECTIVES, name)) throw refusal('--slo', `must be limits in milliseconds as ttft:500,tpot:50,e2e:3000, not '${text}'`)
    const field = OBJECTIVES[name as keyof typeof OBJECTIVES]
    if (limits[field] !== null) throw refusal('--slo', `names ${name} twice`)
    if (!isStreamed && name !== 'e2e') throw refusal('--slo', `has ${name}, which --no-stream does not measure`)
    limits[field] = positive(limit, `--slo ${name}`, 1e9)
  }
  return limits
}

function extraBodyOf(text: string | undefined): Readonly<Record<string, unknown>> {
  if (text === undefined) return {}
  let value: unknown = null
  try {
    value = JSON.parse(text)
  } catch {
    // As what is no object.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refusal('--extra-body', `must be a JSON object, not '${text}'`)
  const taken = Object.keys(value).find((field) => ['model', 'prompt', 'messages', 'stream', 'stream_options', 'max_tokens', 'n'].includes(field))
  if (taken !== undefined) throw refusal('--extra-body', `must not have '${taken}', which the measurement decides`)
  return value as Readonly<Record<string, unknown>>
}

/** `128` or `64-256`. */
function range(text: string, flag: string, least: number, most: number): TokenRange {
  const [, from = '', to = from] = /^(\d+)(?:-(\d+))?$/.exec(text.trim()) ?? []
  const [min, max] = [Number(from), Number(to)]
  if (from === '' || min < least || max > most || min > max)
    throw refusal(flag, `must be a number or a range as 64-256, from ${least} to ${most}, not '${text}'`)
  return { min, max }
}

function whole(text: string, flag: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text.trim()) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most)) throw refusal(flag, `must be a whole number from ${least} to ${most}, not '${text}'`)
  return value
}

function positive(text: string, flag: string, most: number): number {
  const value = /^\d*\.?\d+$/.test(text.trim()) ? Number(text) : Number.NaN
  if (!(value > 0 && value <= most)) throw refusal(flag, `must be a number above 0 and at most ${most}, not '${text}'`)
  return value
}

function refusal(flag: string, words: string): InferdError {
  return new InferdError('invalid_parameter', `${flag} ${words}`, { param: flag })
}
