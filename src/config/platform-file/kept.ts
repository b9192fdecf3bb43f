/** What is kept for callers: responses, background runs and files, each with its bounds. */
import { z } from 'zod'

export const keptSection = z
  .strictObject({
    responseRetentionDays: z.int().min(1).max(3650).default(30).describe('Days that a response is kept after the last one of its conversation.'),
    backgroundRuns: z.int().min(1).max(65_536).default(256).describe('Responses that may run in the background at the same time.'),
    backgroundRunsPerTeam: z.int().min(1).max(65_536).default(64).describe('The same, of one team.'),
    backgroundTimeoutS: z.int().min(1).max(604_800).default(3600).describe('Longest life of a background response, in seconds.'),
    fileMib: z.int().min(1).max(65_536).default(512).describe('Largest file, in MiB.'),
    teamFilesMib: z.int().min(1).max(1_073_741_824).default(16_384).describe('All files of one team, in MiB.'),
    teamFiles: z.int().min(1).max(1_000_000).default(10_000).describe('Files that one team may keep.'),
  })
  .prefault({})
  .describe('What is kept for callers.')

export type KeptOptions = z.infer<typeof keptSection>
