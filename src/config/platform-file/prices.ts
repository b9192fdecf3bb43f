/** Prices by model: what the ledger charges. A model without a row, and without the row `*`, is free. */
import { z } from 'zod'
import { parseDecimal } from '#base/decimal'

/** US dollars per million tokens; exact, as picodollars per token. */
const perMillionTokens = decimal(6, 'US dollars with at most 6 digits behind the point')
/** US dollars; exact, as picodollars. */
const usd = decimal(12, 'US dollars with at most 12 digits behind the point')
/** A factor in thousandths. */
const factor = decimal(3, 'a factor with at most 3 digits behind the point').refine((value) => value <= 1_000_000n, 'at most 1000')

const priceRow = z.strictObject({
  input: perMillionTokens.default(0n).describe('US dollars per million prompt tokens that were neither cached nor written to the cache.'),
  cachedInput: perMillionTokens.optional().describe('For prompt tokens read from the prefix cache; as input when not given.'),
  cacheWrite: perMillionTokens.optional().describe('For prompt tokens that a cache point wrote; as input when not given.'),
  output: perMillionTokens.default(0n).describe('US dollars per million output tokens.'),
  reasoning: perMillionTokens.optional().describe('For output tokens of reasoning; as output when not given.'),
  perRequest: usd.default(0n).describe('US dollars for each answered request.'),
  perHour: usd.default(0n).describe('US dollars per hour of the replicas that serve the model, shared by the calls that run at a moment.'),
  modelUnit: z
    .strictObject({
      perHour: usd.describe('Without a commitment.'),
      oneMonth: usd.optional().describe('With a commitment of one month; as perHour when not given.'),
      sixMonths: usd.optional().describe('With a commitment of six months; as perHour when not given.'),
    })
    .optional()
    .describe('US dollars per hour of one unit of provisioned throughput; free when not given.'),
  tiers: z
    .strictObject({ priority: factor.default(1000n), default: factor.default(1000n), flex: factor.default(1000n) })
    .prefault({})
    .describe('Factors on the prices of tokens and requests by service tier.'),
  batch: factor.default(1000n).describe('Factor for calls of batch jobs: 0.5 is half the price.'),
  responseCacheHit: factor.default(0n).describe('Factor for answers from the response cache; 0 = free.'),
})

export const pricesSection = z
  .record(z.string().min(1).max(128), priceRow)
  .default({})
  .describe('Prices by model name; `*` stands for every model without a row of its own.')

export type PriceEntry = z.infer<typeof priceRow>
export type PriceEntries = z.infer<typeof pricesSection>

function decimal(numFractionDigits: number, words: string): z.ZodType<bigint> {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const parsed = parseDecimal(String(value), numFractionDigits)
    if (parsed !== null) return parsed
    context.addIssue({ code: 'custom', message: words })
    return z.NEVER
  })
}
