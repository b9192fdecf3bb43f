/** Thresholds that roll an endpoint's update back. */
import { z } from 'zod'

export const alarmsSection = z
  .array(
    z.strictObject({
      name: z
        .string()
        .regex(/^[\x20-\x7e]{1,255}$/, '1 to 255 printable characters of ASCII')
        .describe('By which an update names it (`AutoRollbackConfiguration`).'),
      metric: z
        .enum(['ttft_p95_ms', 'tpot_p95_ms', 'error_rate', 'refusal_rate', 'cost_per_request'])
        .describe('Of the new replicas: times in ms, rates in [0, 1] of all calls, cost in US dollars.'),
      threshold: z.number().min(0).describe('It goes off above it.'),
      windowS: z.number().min(1).max(86_400).default(60).describe('Calls of so many seconds are looked at.'),
      minSamples: z.int().min(1).max(1_000_000).default(10).describe('It does not go off with fewer calls.'),
    }),
  )
  .max(1000)
  .default([])
  .describe('What an update of an endpoint is watched for; one that goes off rolls it back.')

export type AlarmEntry = z.infer<typeof alarmsSection>[number]
