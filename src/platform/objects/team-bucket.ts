/** The bucket that each team has without being given one: named so that no other team's name means it. */
import { createHash } from 'node:crypto'

/** A team whose name is fit for the name of a bucket: `inferd-TEAM`. */
const FIT_NAME = /^[a-z0-9](?:[a-z0-9-]{0,54}[a-z0-9])?$/
const HASH_DIGITS = 40

/** Others: `inferd.` and the beginning of the SHA-256 of their name. The two forms never meet, and no case or alphabet folds two into one. */
export function teamBucket(team: string): string {
  if (FIT_NAME.test(team)) return `inferd-${team}`
  return `inferd.${createHash('sha256').update(team).digest('hex').slice(0, HASH_DIGITS)}`
}
