/** How many calls each model takes at a time, and how many may wait for it. */
import { z } from 'zod'

const capacity = z.strictObject({
  maxRunning: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Choices that are given to the model at a time; its own number of sequences and a quarter more when not given.'),
  maxRunningTokens: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .optional()
    .describe('Prompt and output tokens of the calls that the model has at a time; no bound when not given.'),
})

export const admissionSection = z
  .strictObject({
    capacity: z.record(z.string().min(1).max(128), capacity).default({}).describe('By model name; `*` stands for every other model.'),
    maxWaiting: z.int().min(0).max(1_000_000).default(1024).describe('Calls that may wait for one model.'),
    maxWaitingTokens: z
      .int()
      .min(0)
      .max(1_000_000_000)
      .default(2_000_000)
      .describe('Tokens (prompt and expected output) that may wait for one model.'),
    maxWaitS: z.number().min(0.01).max(3600).default(30).describe('Longest wait; a call that would wait longer is refused at once.'),
    flexShare: z
      .number()
      .min(0.01)
      .max(1)
      .default(0.75)
      .describe(
        'Part of a model’s places that the tier flex may take; the others find the rest free. Models of our own engine give way to all others besides.',
      ),
    flexMaxWaitS: z.number().min(0.01).max(86_400).default(300).describe('Longest wait of the tier flex.'),
    ageingS: z.number().min(0.01).max(3600).default(20).describe('A call that has waited so long runs as if its tier were one higher.'),
    reservationS: z.int().min(1).max(86_400).default(900).describe('How long money that a crashed server had reserved stays reserved.'),
  })
  .prefault({})
  .describe('Limits on what runs and waits in front of models.')

export type AdmissionConfig = z.infer<typeof admissionSection>
