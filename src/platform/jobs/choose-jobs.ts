/** Whose turn it is: lanes with room, the line that was served longest ago first, in each line the job that has waited longest. */
import type { JobKind } from '#contract/job'
import type { JobLineRow, JobRow } from '#platform/store/job-rows'
import type { JobStore, LineOrder } from '#platform/store/job-store'

export interface Room {
  readonly kind: JobKind
  /** Jobs that may be begun now. */
  readonly numFree: number
  /** Of these, in one lane. */
  readonly numFreeIn: (lane: string) => number
}

export type Moment = Pick<LineOrder, 'nowMs' | 'maxDelayMs'>

const LINES_PER_PAGE = 256

/** At most `numFree` jobs that wait; nothing is claimed yet. Throws store_failed. */
export async function chooseJobs(
  store: Pick<JobStore, 'lines' | 'ready'>,
  { kind, numFree, numFreeIn }: Room,
  moment: Moment,
): Promise<readonly JobRow[]> {
  const chosen: JobRow[] = []
  const freeIn = new Map<string, number>()
  for (let after: JobLineRow | null = null; chosen.length < numFree;) {
    const page: readonly JobLineRow[] = await store.lines({ kind, after, limit: LINES_PER_PAGE })
    const lanes = page.map(({ lane }) => lane)
    for (const [index, line] of page.entries()) {
      const room = freeIn.get(line.lane) ?? numFreeIn(line.lane)
      // What a line leaves of its share goes to those behind it, and to itself in the next round.
      const shareOfLane = Math.ceil(room / lanes.slice(index).filter((lane) => lane === line.lane).length)
      const limit = Math.min(shareOfLane, Math.ceil((numFree - chosen.length) / (page.length - index)))
      const rows = limit <= 0 ? [] : await store.ready({ line, ...moment, limit })
      freeIn.set(line.lane, room - rows.length)
      chosen.push(...rows)
    }
    after = page.at(-1) ?? null
    if (page.length < LINES_PER_PAGE) break
  }
  return chosen
}
