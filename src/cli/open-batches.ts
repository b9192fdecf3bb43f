/** Batches put together: their jobs read the lines of every dialect, and their records enter by the server's own doors. */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { ObjectStores } from '#contract/objects'
import type { FileShelf } from '#contract/stored-file'
import { BatchHandler, DEFAULT_BATCH_LIMITS } from '#platform/batches/batch-handler'
import { BATCH_FORMATS } from '#server/batch-formats'
import type { MakeHandler } from './open-jobs.ts'

export interface BatchParts {
  readonly files: FileShelf | null
  readonly objects: ObjectStores | null
  readonly clock: Clock
  readonly random: Random
}

export function batchMaker({ files, objects, clock, random }: BatchParts): MakeHandler {
  const { maxLineBytes, maxRecordMs, limits, maxRunning, maxRunningOfTeam } = DEFAULT_BATCH_LIMITS
  return (runCall) =>
    new BatchHandler({
      formats: BATCH_FORMATS,
      caller: { runCall, clock, random, maxRecordMs },
      input: { files, objects, maxLineBytes },
      limits,
      maxRunning,
      maxRunningOfTeam,
    })
}
