/** The output of a batch as lines in the order of the input: what was answered, and what never ran where the dialect shows that. */
import type { BatchFormat, BatchPlan, BatchUsage, UnfinishedReason } from '#contract/batch'
import type { PlacedLine } from './batch-input.ts'

export interface OutputLine {
  readonly index: number
  readonly isOk: boolean
  readonly line: string
}

export interface OutputTally {
  succeeded: number
  failed: number
  usage: BatchUsage
}

export interface UnfinishedTerms {
  readonly format: BatchFormat
  readonly plan: BatchPlan
  readonly jobId: string
  readonly reason: UnfinishedReason
}

/** `kept` comes by index, ascending, and so does `lines`, which has every record. */
export async function* withUnfinished(
  kept: AsyncIterable<OutputLine>,
  lines: AsyncIterable<PlacedLine>,
  { format, plan, jobId, reason }: UnfinishedTerms,
): AsyncGenerator<OutputLine> {
  const finished = kept[Symbol.asyncIterator]()
  try {
    let next = await finished.next()
    for await (const { index, line } of lines) {
      if (next.done !== true && next.value.index === index) {
        yield next.value
        next = await finished.next()
        continue
      }
      const record = format.readRecord(line, plan, { jobId, index })
      if (record.kind === 'fault') continue
      const text = format.encodeUnfinished(record, reason, { jobId, index })
      if (text !== null) yield { index, isOk: false, line: text }
    }
  } finally {
    await finished.return?.()
  }
}

/** Counts what passes: lines of records that were answered. */
export async function* tallied(lines: AsyncIterable<OutputLine>, format: BatchFormat, tally: OutputTally): AsyncGenerator<OutputLine> {
  for await (const line of lines) {
    if (line.isOk) {
      tally.succeeded++
      tally.usage = addUsage(tally.usage, format.readUsage(line.line))
    } else tally.failed++
    yield line
  }
}

function addUsage(left: BatchUsage, right: BatchUsage): BatchUsage {
  return {
    inputTokens: left.inputTokens + right.inputTokens,
    cachedTokens: left.cachedTokens + right.cachedTokens,
    outputTokens: left.outputTokens + right.outputTokens,
    reasoningTokens: left.reasoningTokens + right.reasoningTokens,
  }
}
