/** Publishes the output where the plan says, and tells what was published. */
import { InferdError } from '#contract/errors'
import type { BatchUsage } from '#contract/batch'
import type { JobCounts } from '#contract/job'
import type { ObjectStores } from '#contract/objects'
import type { FileShelf } from '#contract/stored-file'
import type { BatchSubject } from './batch-subject.ts'
import type { InputCheck } from './check-input.ts'
import type { OutputLine, OutputTally } from './output-lines.ts'
import { publishFiles, type PublishedFiles } from './publish-files.ts'
import { publishObjects } from './publish-objects.ts'

export interface OutputTarget {
  readonly files: FileShelf | null
  readonly objects: ObjectStores | null
  readonly subject: BatchSubject
  readonly check: InputCheck
  /** Complete when all lines have passed. */
  readonly tally: OutputTally
  readonly signal: AbortSignal
}

export interface Published extends PublishedFiles {
  readonly counts: JobCounts
  readonly usage: BatchUsage
}

export async function publishOutput(lines: AsyncIterable<OutputLine>, target: OutputTarget): Promise<Published> {
  const ids = await publish(lines, target)
  return { counts: countsOf(target), usage: target.tally.usage, ...ids }
}

async function publish(lines: AsyncIterable<OutputLine>, target: OutputTarget): Promise<PublishedFiles> {
  const { files, objects, subject, check, signal } = target
  const { job, plan, format } = subject
  const { output, input } = plan
  if (output.kind === 'files') {
    if (files === null) throw new InferdError('store_failed', 'this server keeps no files')
    const { hasErrorFile } = format
    return publishFiles(lines, { files, team: job.team, jobId: job.id, expiresAfterS: output.expiresAfterS, hasErrorFile })
  }
  if (objects === null) throw new InferdError('store_failed', 'this server has no objects')
  const parts = input.kind === 'objects' ? input.objects : []
  // Of an input that is spoilt under way nobody knows any more which line was whose.
  const partRecords = check.faults.length === 0 ? check.partRecords : [Number.POSITIVE_INFINITY]
  const manifest = (): string => JSON.stringify(manifestOf(target))
  await publishObjects(lines, { objects, team: job.team, uri: output.uri, parts, partRecords, manifest, signal })
  return { outputFileId: null, errorFileId: null }
}

/** Those that were answered alone are known of an input that is gone. */
function countsOf({ check, tally: { succeeded, failed } }: OutputTarget): { readonly total: number } & JobCounts {
  const total = check.faults.length === 0 ? check.numRecords : succeeded + failed
  return { total, succeeded, failed }
}

/** As Bedrock writes it. */
function manifestOf(target: OutputTarget): object {
  const { total, succeeded, failed } = countsOf(target)
  const { inputTokens, outputTokens } = target.tally.usage
  return {
    totalRecordCount: total,
    processedRecordCount: succeeded + failed,
    successRecordCount: succeeded,
    errorRecordCount: failed,
    inputTokenCount: inputTokens,
    outputTokenCount: outputTokens,
  }
}
