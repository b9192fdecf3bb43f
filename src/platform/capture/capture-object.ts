/** Where a batch of captured calls lies: `prefix/endpoint/variant/yyyy/mm/dd/hh/mm-ss-mmm-uuid.jsonl`, in UTC, as SageMaker names them. */
import type { CaptureTerms } from '#contract/capture'

/** Whose calls stand together in an object. */
export interface CapturePlace {
  readonly endpoint: string
  readonly variant: string
  readonly terms: CaptureTerms
}

/** `prefix`: of the destination, with or without a slash at its end. `wallMs`: of the batch's first record. */
export function captureKey(prefix: string, { endpoint, variant }: CapturePlace, wallMs: number, uuid: string): string {
  const [, date = '', hour = '', minute = '', second = '', ms = ''] =
    /^(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z$/.exec(new Date(wallMs).toISOString()) ?? []
  const folder = [prefix.replace(/\/+$/, ''), endpoint, variant].filter((part) => part !== '').join('/')
  return `${folder}/${date.replaceAll('-', '/')}/${hour}/${minute}-${second}-${ms}-${uuid}.jsonl`
}

/** Records of another hour begin another object. */
export function hourOf(wallMs: number): number {
  return Math.floor(wallMs / HOUR_MS)
}

const HOUR_MS = 3_600_000
