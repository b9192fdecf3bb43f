/**
 * Metrics in a registry of their own. Names are those of the OpenTelemetry conventions for generative AI as Prometheus spells them
 * (dots become underscores, the unit is a suffix), and `inferd_` where there is no convention. docs/reference/metrics.md lists them.
 */
import { Counter, Histogram, Registry } from 'prom-client'
import type { CallReport } from '#contract/call'
import type { ErrorCode } from '#contract/errors'
import type { UsageRecord } from '#contract/usage-record'
import { COLD_START_BUCKETS, DURATION_BUCKETS, FIRST_TOKEN_BUCKETS, PER_TOKEN_BUCKETS, QUEUE_BUCKETS, TOKEN_BUCKETS } from './buckets.ts'
import { ExactCounter } from './exact-counter.ts'
import { LabelValues } from './label-values.ts'
import { registerServerGauges, type ServerFigures } from './server-gauges.ts'

export interface MetricsOptions {
  readonly version: string
  /** Of each label that names a model or a team. */
  readonly maxLabelValues: number
  /** Asked at each scrape. */
  readonly figures: () => ServerFigures
}

const PROVIDER = 'inferd'
const COST_DIGITS = 12
const CALL_LABELS = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model', 'gen_ai_response_model'] as const
const NO_MODEL = ''

type CallLabels = Record<(typeof CALL_LABELS)[number], string>

/** Phases of a start: for room; until the process is up; until the model is ready; until an answer has begun. A replica that stays up has `load` alone. */
export type ColdStartPhase = 'wait' | 'spawn' | 'load' | 'first_token' | 'total'

export class Metrics {
  readonly registry = new Registry()
  private readonly models: LabelValues
  private readonly teams: LabelValues
  private readonly duration = this.histogram('gen_ai_server_request_duration_seconds', 'From arrival to the last byte of the answer.', {
    labelNames: [...CALL_LABELS, 'error_type'],
    buckets: DURATION_BUCKETS,
  })
  private readonly firstToken = this.histogram('gen_ai_server_time_to_first_token_seconds', 'From arrival to the first piece of the answer.', {
    labelNames: CALL_LABELS,
    buckets: FIRST_TOKEN_BUCKETS,
  })
  private readonly perToken = this.histogram('gen_ai_server_time_per_output_token_seconds', 'Between two output tokens after the first.', {
    labelNames: CALL_LABELS,
    buckets: PER_TOKEN_BUCKETS,
  })
  private readonly tokens = this.histogram('gen_ai_client_token_usage', 'Tokens of one call, by type.', {
    labelNames: [...CALL_LABELS, 'gen_ai_token_type'],
    buckets: TOKEN_BUCKETS,
  })
  private readonly inputTokens = this.counter('gen_ai_client_inference_usage_input_tokens_total', 'Prompt tokens.', CALL_LABELS)
  private readonly outputTokens = this.counter('gen_ai_client_inference_usage_output_tokens_total', 'Output tokens.', CALL_LABELS)
  private readonly cachedTokens = this.counter(
    'gen_ai_client_inference_usage_cache_read_input_tokens_total',
    'Prompt tokens read from the prefix cache.',
    CALL_LABELS,
  )
  private readonly writtenTokens = this.counter(
    'gen_ai_client_inference_usage_cache_write_input_tokens_total',
    'Prompt tokens written at cache points.',
    CALL_LABELS,
  )
  private readonly reasoningTokens = this.counter(
    'gen_ai_client_inference_usage_reasoning_output_tokens_total',
    'Output tokens of reasoning.',
    CALL_LABELS,
  )
  private readonly cost = new ExactCounter({
    name: 'inferd_cost_usd_total',
    help: 'Cost of settled calls, US dollars.',
    labelNames: ['team', 'model', 'tier'],
    registry: this.registry,
    numDigits: COST_DIGITS,
  })
  private readonly queueWait = this.histogram('inferd_queue_wait_seconds', 'From arrival to dispatch.', {
    labelNames: ['model', 'tier'],
    buckets: QUEUE_BUCKETS,
  })
  private readonly refusals = this.counter('inferd_refusals_total', 'Calls refused before a model saw them.', ['code', 'model', 'team'])
  private readonly cacheHits = this.counter('inferd_response_cache_hits_total', 'Answers from the response cache.', ['model', 'mode'])
  private readonly failedAttempts = this.counter('inferd_failed_attempts_total', 'Attempts at a model after which another was tried.', [
    'model',
    'code',
  ])
  private readonly truncations = this.counter('inferd_truncations_total', 'Calls whose oldest or middle turns were left out.', ['model', 'strategy'])
  private readonly guardFindings = this.counter('inferd_guardrail_findings_total', 'Hits of guardrail rules.', ['policy', 'action', 'direction'])
  private readonly guardInterventions = this.counter('inferd_guardrail_interventions_total', 'Calls that a guardrail changed.', ['model'])
  private readonly qualityFindings = this.counter('inferd_quality_findings_total', 'Faults that the quality monitor found.', [
    'model',
    'fault',
    'action',
  ])
  private readonly coldStarts = this.histogram('inferd_cold_start_seconds', 'How long a replica takes to be ready, by phase.', {
    labelNames: ['model', 'phase'],
    buckets: COLD_START_BUCKETS,
  })

  /** What of a report has been counted: the prompts of one call share it. */
  private readonly counted = new WeakMap<CallReport, { attempts: number; quality: number; isTold: boolean }>()

  constructor({ version, maxLabelValues, figures }: MetricsOptions) {
    this.models = new LabelValues(maxLabelValues)
    this.teams = new LabelValues(maxLabelValues)
    registerServerGauges(this.registry, { version, figures })
  }

  /** Hot: per call. */
  onCall(record: UsageRecord, { report }: { readonly report: CallReport }): void {
    const model = this.models.of(record.model ?? NO_MODEL)
    const labels: CallLabels = {
      gen_ai_operation_name: record.operation,
      gen_ai_provider_name: PROVIDER,
      gen_ai_request_model: this.models.of(record.requestedModel),
      gen_ai_response_model: model,
    }
    this.duration.observe({ ...labels, error_type: record.error ?? '' }, record.durationMs / 1000)
    if (record.queueMs !== null) this.queueWait.observe({ model, tier: record.tier }, record.queueMs / 1000)
    if (record.ttftMs !== null) this.firstToken.observe(labels, record.ttftMs / 1000)
    if (record.tpotMs !== null) this.perToken.observe(labels, record.tpotMs / 1000)
    this.countTokens(record, labels)
    if (record.cost > 0n) this.cost.add({ team: this.teams.of(record.team), model, tier: record.tier }, record.cost)
    if (record.responseCache !== 'none') this.cacheHits.inc({ model, mode: record.responseCache })
    this.countFindings(report, model)
  }

  onRefusal(code: ErrorCode, call: { readonly model: string; readonly principal: { readonly team: string } }): void {
    this.refusals.inc({ code, model: this.models.of(call.model), team: this.teams.of(call.principal.team) })
  }

  onColdStart(model: string, phase: ColdStartPhase, durationMs: number): void {
    this.coldStarts.observe({ model: this.models.of(model), phase }, durationMs / 1000)
  }

  get contentType(): string {
    return this.registry.contentType
  }

  text(): Promise<string> {
    return this.registry.metrics()
  }

  private countTokens(record: UsageRecord, labels: CallLabels): void {
    if (record.inputTokens > 0) {
      this.tokens.observe({ ...labels, gen_ai_token_type: 'input' }, record.inputTokens)
      this.inputTokens.inc(labels, record.inputTokens)
    }
    if (record.outputTokens > 0) {
      this.tokens.observe({ ...labels, gen_ai_token_type: 'output' }, record.outputTokens)
      this.outputTokens.inc(labels, record.outputTokens)
    }
    if (record.cachedTokens > 0) this.cachedTokens.inc(labels, record.cachedTokens)
    if (record.cacheWriteTokens > 0) this.writtenTokens.inc(labels, record.cacheWriteTokens)
    if (record.reasoningTokens > 0) this.reasoningTokens.inc(labels, record.reasoningTokens)
  }

  private countFindings(report: CallReport, model: string): void {
    const { attempts, truncation, guardrail, quality } = report
    if (attempts.length === 0 && quality.length === 0 && truncation === null && guardrail === null) return
    const before = this.counted.get(report) ?? { attempts: 0, quality: 0, isTold: false }
    this.counted.set(report, { attempts: attempts.length, quality: quality.length, isTold: true })
    for (const { model: tried, error } of attempts.slice(before.attempts)) this.failedAttempts.inc({ model: this.models.of(tried), code: error })
    for (const { fault, action } of quality.slice(before.quality)) this.qualityFindings.inc({ model, fault, action })
    if (before.isTold) return
    if (truncation !== null) this.truncations.inc({ model, strategy: truncation.strategy })
    if (guardrail?.intervened === true) this.guardInterventions.inc({ model })
    for (const { direction, findings } of guardrail?.assessments ?? []) {
      for (const { policy, action } of findings) this.guardFindings.inc({ policy, action, direction })
    }
  }

  private histogram<Label extends string>(
    name: string,
    help: string,
    { labelNames, buckets }: { readonly labelNames: readonly Label[]; readonly buckets: readonly number[] },
  ): Histogram<Label> {
    return new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers: [this.registry] })
  }

  private counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] })
  }
}
