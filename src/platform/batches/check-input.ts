/** The whole input is looked at before any of its records runs: what spoils it is told at once, with line and word. */
import type { BatchFault, BatchFormat, BatchPlan } from '#contract/batch'
import type { PlacedLine } from './batch-input.ts'

export interface InputCheck {
  readonly numRecords: number
  /** Of each part of the input, in order. */
  readonly partRecords: readonly number[]
  /** Empty = it may run. */
  readonly faults: readonly BatchFault[]
}

/** So many are told; what is wrong with a file is seldom wrong once. */
const MAX_FAULTS = 100

export interface CheckSubject {
  readonly format: BatchFormat
  readonly plan: BatchPlan
  readonly jobId: string
}

export async function checkInput(lines: AsyncIterable<PlacedLine>, { format, plan, jobId }: CheckSubject): Promise<InputCheck> {
  const faults: BatchFault[] = []
  const partRecords: number[] = []
  const customIds = new Set<string>()
  let numRecords = 0
  for await (const { index, partIndex, line } of lines) {
    if (index >= format.maxRecords) {
      faults.push(fault('too_many_tasks', `The batch has more than ${format.maxRecords} requests.`, null, null))
      break
    }
    numRecords++
    while (partRecords.length <= partIndex) partRecords.push(0)
    partRecords[partIndex] = (partRecords[partIndex] ?? 0) + 1
    const record = format.readRecord(line, plan, { jobId, index })
    if (record.kind === 'fault') faults.push(record.fault)
    else if (format.hasUniqueIds && customIds.has(record.customId)) faults.push(duplicate(line.number))
    else customIds.add(record.customId)
    if (faults.length >= MAX_FAULTS) break
  }
  if (numRecords === 0) faults.push(fault('empty_file', 'The input has no requests.', null, null))
  return { numRecords, partRecords, faults }
}

function duplicate(line: number): BatchFault {
  return fault(
    'duplicate_custom_id',
    'The custom_id of this request is that of another request of the batch; each must be unique.',
    'custom_id',
    line,
  )
}

function fault(code: string, message: string, param: string | null, line: number | null): BatchFault {
  return { code, message, param, line }
}
