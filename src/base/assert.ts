/** A broken invariant of our own: never the caller's fault, never worded to the caller. Kills the worker. */
export class BugError extends Error {
  override readonly name = 'BugError'
}

/** Throws BugError unless `condition` holds. Stays on in production, so keep the condition cheap. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new BugError(message)
}

/** Closes an exhaustive switch: the compiler proves that it cannot be reached. */
export function unreachable(value: never): never {
  throw new BugError(`unreachable variant: ${JSON.stringify(value)}`)
}
