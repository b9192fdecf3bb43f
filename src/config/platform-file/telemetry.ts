/** What the server tells about itself: metrics and traces. */
import { z } from 'zod'

export const telemetrySection = z
  .strictObject({
    maxLabelValues: z.int().min(1).max(10_000).default(200).describe('Values of one label (model, team); further ones are counted as `other`.'),
    traces: z
      .strictObject({
        endpoint: z.url({ protocol: /^https?$/ }).describe('OTLP over HTTP: `http://collector:4318/v1/traces`.'),
        headers: z.record(z.string(), z.string()).default({}).describe('Sent with each export.'),
        sampleRatio: z.number().min(0).max(1).default(1).describe('Share of the calls without a sampled parent that is traced.'),
      })
      .nullable()
      .default(null)
      .describe('Where spans go; null = nowhere.'),
  })
  .prefault({})
