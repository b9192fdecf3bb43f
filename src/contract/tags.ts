/** Labels that people give to what they made, as the tags of AWS: kept and shown again, and of no meaning to the server. */
export interface Tag {
  readonly key: string
  readonly value: string
}

/** Of one thing, `kind/name`; of a job `kind/team/name`. The names of things that can have tags have no slash. */
export type TagOwner = `${'model' | 'endpoint-config' | 'endpoint'}/${string}` | `transform-job/${string}/${string}`

/** Methods throw store_failed. Whether the owner exists is the caller's to know; with it its tags go. */
export interface TagDesk {
  /** In the order in which their keys came. */
  list(owner: TagOwner): Promise<readonly Tag[]>
  /** A key that is there gets the new value. Throws invalid_parameter for more tags than a thing may have, and changes nothing then. */
  put(owner: TagOwner, tags: readonly Tag[]): Promise<readonly Tag[]>
  /** Keys that are not there are as if they had been. */
  remove(owner: TagOwner, keys: readonly string[]): Promise<void>
}
