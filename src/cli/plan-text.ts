/** Plans as people read them. */

/** As `GET /inferd/v1/plan` answers. */
export interface WirePlan {
  readonly model: string
  readonly traffic: {
    readonly from: string
    readonly to: string
    readonly requests: number
    readonly input_tokens: number
    readonly output_tokens: number
    readonly billed_ms: number
    readonly peak_input_tokens_per_minute: number
    readonly peak_output_tokens_per_minute: number
    readonly patient_share: number
  }
  readonly modes: readonly WireMode[]
  readonly cheapest: WireMode | null
  readonly break_evens: readonly {
    readonly cheaper_below: string
    readonly cheaper_above: string
    readonly measure: string
    readonly at: number
    readonly measured: number
  }[]
  readonly doubts: readonly string[]
}

interface WireMode {
  readonly mode: string
  readonly commitment?: string
  readonly usd_per_month: number | null
  readonly missing?: string
  readonly units?: number
  readonly utilisation?: number
  readonly spilled_share?: number
}

export function planText(plans: readonly WirePlan[]): string {
  return plans.length === 0 ? 'no model had traffic in that time\n' : plans.map(textOf).join('\n')
}

function textOf({ model, traffic, modes, cheapest, break_evens: breakEvens, doubts }: WirePlan): string {
  const lines = [
    `${model}: ${count(traffic.requests)} requests, ${count(traffic.input_tokens)} input and ${count(traffic.output_tokens)} output tokens, ` +
      `from ${traffic.from.slice(0, 16)} to ${traffic.to.slice(0, 16)} UTC`,
    `  fullest minute ${count(traffic.peak_input_tokens_per_minute)} input, ${count(traffic.peak_output_tokens_per_minute)} output tokens; ` +
      `${percent(traffic.patient_share)} of the tokens could wait`,
    ...modes.map((mode) => `  ${marked(mode, cheapest)} ${nameOf(mode).padEnd(26)} ${priceOf(mode)}`),
    ...breakEvens.map((each) => `  ${breakEvenText(each)}`),
    ...doubts.map((doubt) => `  careful: ${doubt}`),
  ]
  return `${lines.join('\n')}\n`
}

function marked(mode: WireMode, cheapest: WireMode | null): string {
  return cheapest !== null && mode.mode === cheapest.mode && mode.commitment === cheapest.commitment ? '>' : ' '
}

function nameOf({ mode, commitment }: WireMode): string {
  const note = mode === 'batch' ? ' (if it can wait)' : ''
  return `${mode}${commitment === undefined ? '' : `, ${commitment}`}${note}`
}

function priceOf({ usd_per_month: usd, missing, units, utilisation, spilled_share: spilled }: WireMode): string {
  if (usd === null) return `no price: ${missing ?? ''} is not set`
  const price = `$${usd.toFixed(2)} a month`.padStart(22)
  if (units === undefined) return price
  return `${price}  ${units} ${units === 1 ? 'unit' : 'units'}, ${percent(utilisation ?? 0)} used, ${percent(spilled ?? 0)} of the tokens spill over`
}

function breakEvenText({ cheaper_below: below, cheaper_above: above, measure, at, measured }: WirePlan['break_evens'][number]): string {
  if (measure === 'tokens_per_month') return `${below} is cheaper than one unit below ${count(at)} tokens a month; it was ${count(measured)}`
  return `${below} is cheaper than ${above} below ${at.toFixed(1)} ms of computing a request; it was ${measured.toFixed(1)}`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}
