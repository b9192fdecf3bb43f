/** Processes that measure and print what they found. */
import { spawnSync } from 'node:child_process'
import { MEASUREMENT_TIMEOUT_MS } from './subject.ts'

/** Standard output of a process that ends well. Throws where it does not, with the end of its standard error. */
export function outputOf(command: string, args: readonly string[], { cwd, input = '' }: { readonly cwd: string; readonly input?: string }): string {
  const run = spawnSync(command, args, { cwd, input, encoding: 'utf8', maxBuffer: 1 << 26, timeout: MEASUREMENT_TIMEOUT_MS })
  if (run.status === 0) return run.stdout
  throw new Error(
    `${command} ${args.join(' ')}: ${run.error?.message ?? `ended with ${run.status ?? run.signal}`}\n${(run.stderr ?? '').slice(-2000)}`,
  )
}

export function lastLineOf(command: string, args: readonly string[], cwd: string, input = ''): string {
  return outputOf(command, args, { cwd, input }).trim().split('\n').at(-1)!
}
