/** Output as files of the team: one of what succeeded, one of what failed, or both in one. Their ids follow from the job's, so each exists once. */
import { createHash } from 'node:crypto'
import type { FileShelf, FileUpload } from '#contract/stored-file'
import type { OutputLine } from './output-lines.ts'

export interface FileTarget {
  readonly files: FileShelf
  readonly team: string
  readonly jobId: string
  readonly expiresAfterS: number | null
  readonly hasErrorFile: boolean
}

export interface PublishedFiles {
  readonly outputFileId: string | null
  readonly errorFileId: string | null
}

type FileKind = 'output' | 'error'

const PURPOSE = 'batch_output'
const ID_LENGTH = 16
/** Lines are written together until there are so many bytes. */
const WRITE_BYTES = 256 * 1024

/** A file without lines does not come into being. Files that were published before stay as they are. */
export async function publishFiles(lines: AsyncIterable<OutputLine>, target: FileTarget): Promise<PublishedFiles> {
  const writers = { output: new LineWriter(target, 'output'), error: new LineWriter(target, 'error') }
  try {
    for await (const { isOk, line } of lines) await writers[isOk || !target.hasErrorFile ? 'output' : 'error'].write(line)
    // Errors first: who sees the output sees them too.
    const errorFileId = await writers.error.commit()
    return { outputFileId: await writers.output.commit(), errorFileId }
  } finally {
    await writers.error.abandon()
    await writers.output.abandon()
  }
}

/** Unguessable as the job's is. */
function fileIdOf(jobId: string, kind: FileKind): string {
  return `file-${createHash('sha256').update(`${jobId}/${kind}`).digest('base64url').slice(0, ID_LENGTH)}`
}

class LineWriter {
  private readonly target: FileTarget
  private readonly kind: FileKind
  private upload: FileUpload | null = null
  private pending: string[] = []
  private numPending = 0

  constructor(target: FileTarget, kind: FileKind) {
    this.target = target
    this.kind = kind
  }

  async write(line: string): Promise<void> {
    const { files, team, jobId } = this.target
    this.upload ??= await files.receiveResult(team, fileIdOf(jobId, this.kind))
    this.pending.push(line, '\n')
    this.numPending += line.length
    if (this.numPending >= WRITE_BYTES) await this.flush(this.upload)
  }

  /** The id of the file; null = it has no lines. */
  async commit(): Promise<string | null> {
    const { upload, target, kind } = this
    if (upload === null) return null
    await this.flush(upload)
    this.upload = null
    const { id } = await upload.commit({ filename: `${target.jobId}_${kind}.jsonl`, purpose: PURPOSE, expiresAfterS: target.expiresAfterS })
    return id
  }

  async abandon(): Promise<void> {
    await this.upload?.abandon()
    this.upload = null
  }

  private async flush(upload: FileUpload): Promise<void> {
    const text = this.pending.join('')
    this.pending = []
    this.numPending = 0
    await upload.write(Buffer.from(text, 'utf8'))
  }
}
