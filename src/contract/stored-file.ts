/** Files that callers keep here: batches to run, and data of their own. */

export interface StoredFile {
  readonly id: string
  readonly team: string
  readonly filename: string
  readonly purpose: string
  readonly numBytes: number
  /** Hex; names the bytes on the disk, so that equal contents are kept once. */
  readonly sha256: string
  readonly createdMs: number
  /** null = until it is deleted. */
  readonly expiresMs: number | null
}

/** One file on its way in. Exactly one of `commit` and `abandon` ends it. */
export interface FileUpload {
  /** Throws payload_too_large. */
  write(chunk: Uint8Array): Promise<void>
  /** The bytes are on the disk when it resolves. Throws payload_too_large when the team would keep too much. */
  commit(label: Pick<StoredFile, 'filename' | 'purpose'> & { readonly expiresAfterS: number | null }): Promise<StoredFile>
  abandon(): Promise<void>
}

export interface FileQuery {
  readonly team: string
  readonly purpose: string | null
  /** Files behind this one in the order; null = from the first. */
  readonly afterId: string | null
  readonly limit: number
  readonly order: 'asc' | 'desc'
}

/** Another team's file is as one that does not exist. */
export interface FileShelf {
  readonly maxFileBytes: number
  receive(team: string): Promise<FileUpload>
  /**
   * The result of accepted work, which is kept also where it is larger than what callers may send, or the team keeps too much already. It
   * exists once under the id that its maker gives: commit leaves one that is there as it is, and returns it.
   */
  receiveResult(team: string, id: string): Promise<FileUpload>
  get(team: string, id: string): Promise<StoredFile | null>
  /** By time of creation. */
  list(query: FileQuery): Promise<readonly StoredFile[]>
  read(file: StoredFile): AsyncIterable<Uint8Array>
  /** False = there was none. */
  delete(team: string, id: string): Promise<boolean>
}
