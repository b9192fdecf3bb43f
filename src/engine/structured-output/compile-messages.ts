/** What the compile thread is asked and answers. */
import type { ErrorRecord } from '#contract/errors'
import type { Automaton } from '#engine/grammar/automaton'
import type { OutputSpec } from './output-spec.ts'

export interface CompileRequest {
  readonly job: number
  readonly spec: OutputSpec
}

/** `cpuMs`: processor time of the thread so far, before it takes its next job. */
export type CompileAnswer = { readonly cpuMs: number } &
  /** The thread has loaded its code. */
  (
    | { readonly type: 'ready' }
    /** The arrays are transferred. */
    | { readonly type: 'compiled'; readonly job: number; readonly automaton: Automaton }
    | { readonly type: 'failed'; readonly job: number; readonly error: ErrorRecord }
  )
