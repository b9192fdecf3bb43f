/** Batch transforms put together: their payloads enter by the server's own doors. */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { ObjectStores } from '#contract/objects'
import { DEFAULT_TRANSFORM_LIMITS, TransformHandler } from '#platform/transforms/transform-handler'
import type { MakeHandler } from './open-jobs.ts'

export interface TransformParts {
  readonly objects: ObjectStores | null
  readonly clock: Clock
  readonly random: Random
}

export function transformMaker({ objects, clock, random }: TransformParts): MakeHandler {
  return (runCall) => new TransformHandler({ objects, ports: { runCall, clock, random }, ...DEFAULT_TRANSFORM_LIMITS })
}
