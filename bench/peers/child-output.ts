/** Processes that measure and print what they found. */
import { spawnSync } from 'node:child_process'
import { RECORDS_VARIABLE } from '../record.ts'
import { MEASUREMENT_TIMEOUT_MS } from './subject.ts'

interface ChildOptions {
  readonly cwd: string
  readonly input?: string
  /** Added to ours. */
  readonly env?: Readonly<Record<string, string>>
}

/** Standard output of a process that ends well, and that keeps no records of its own. Throws where it does not, with the end of its standard error. */
export function outputOf(command: string, args: readonly string[], { cwd, input = '', env = {} }: ChildOptions): string {
  const options = {
    cwd,
    input,
    env: { ...process.env, [RECORDS_VARIABLE]: '', ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    timeout: MEASUREMENT_TIMEOUT_MS,
  } as const
  const run = spawnSync(command, args, options)
  if (run.status === 0) return run.stdout
  const outcome = run.error?.message ?? `ended with ${run.status ?? run.signal}`
  throw new Error(`${command} ${args.join(' ')}: ${outcome}\n${(run.stderr ?? '').slice(-2000)}`)
}

export function lastLineOf(command: string, args: readonly string[], options: ChildOptions): string {
  return outputOf(command, args, options).trim().split('\n').at(-1)!
}
