/** Names for what this process holds in a store, and which of those that others have there have ended. */
import { randomId } from '#base/random'
import { holderName, isGone, thisPlace } from '#platform/jobs/holder-place'
import type { Store } from '#platform/store/open-store'

export interface HoldersHere {
  readonly newHolderId: () => string
  /** False = not known. */
  readonly isGone: (holder: string) => boolean
}

/** `kind`: of holder, a word of its name. */
export function holdersHere({ isShared }: Pick<Store, 'isShared'>, kind: string): HoldersHere {
  const here = thisPlace()
  return {
    newHolderId: () => holderName(here, randomId(kind)),
    isGone: (holder) => isGone(holder, { here, isShared, isAlive }),
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
