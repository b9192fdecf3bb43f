/** Bytes under names, in buckets: a folder of this machine, or S3. What jobs read their inputs from and write their results to. */

/** What a list says of an object. */
export interface ObjectEntry {
  readonly key: string
  readonly numBytes: number
  /** Changes with the contents; for words and comparisons only. */
  readonly etag: string
  readonly modifiedMs: number
}

export interface ObjectMeta extends ObjectEntry {
  readonly contentType: string
}

export interface PutOptions {
  readonly contentType: string
  /** Past it: payload_too_large, and nothing is written. */
  readonly maxBytes: number
  /** True: an object that is there already stays as it is. */
  readonly ifAbsent: boolean
}

/**
 * Methods throw store_failed when the bucket cannot be reached, invalid_parameter for a key that no bucket holds, and reject with the
 * signal's reason when it aborts.
 */
export interface Bucket {
  /**
   * All of the object is durable under its name when it resolves, or none of it is visible. null = it was there already. What the chunks
   * throw is thrown on. Throws conflict where a folder holds objects inside of the key, or another object is named as a folder of it.
   */
  put(key: string, chunks: AsyncIterable<Uint8Array>, options: PutOptions, signal: AbortSignal): Promise<ObjectMeta | null>
  head(key: string, signal: AbortSignal): Promise<ObjectMeta | null>
  /** From byte `start` on; nothing past the end. Throws resource_not_found. */
  read(key: string, start: number, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** In the order of their UTF-8 bytes, behind `afterKey`. */
  list(prefix: string, afterKey: string | null, limit: number, signal: AbortSignal): Promise<readonly ObjectEntry[]>
  /** False = there was none. */
  delete(key: string, signal: AbortSignal): Promise<boolean>
}

export interface ObjectLocation {
  readonly bucket: Bucket
  readonly bucketName: string
  /** '' for the bucket itself. */
  readonly key: string
}

export interface ObjectStores {
  /**
   * What an `s3://bucket/key` names for this team. Throws invalid_parameter for what is no such location, and resource_not_found for a
   * bucket that does not exist for the team.
   */
  locate(team: string, uri: string): ObjectLocation
  /** `s3://` form of a location. */
  uriOf(bucketName: string, key: string): string
  /** The bucket that each team has without being given one. */
  defaultBucket(team: string): string
}
