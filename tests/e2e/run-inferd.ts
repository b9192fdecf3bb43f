/** One `inferd` command from start to end, with what it wrote. */
import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { text } from 'node:stream/consumers'

const ROOT = path.resolve(import.meta.dirname, '../..')
const TIMEOUT_MS = 60_000

export interface CommandResult {
  /** null when it had to be killed. */
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** What standard input holds; it is empty when absent. */
  readonly input?: string
  /** Gets each piece of standard output as it comes, and the process. */
  readonly onOutput?: (piece: string, child: ChildProcess) => void
  /** Gets the process when it was started. */
  readonly onStart?: (child: ChildProcess) => void
}

export async function runInferd(args: readonly string[], { input = '', onOutput, onStart }: RunOptions = {}): Promise<CommandResult> {
  const child = spawn(process.execPath, ['--conditions=inferd-source', 'src/main.ts', ...args], {
    cwd: ROOT,
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  onStart?.(child)
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  if (onOutput !== undefined) child.stdout.on('data', (piece: Buffer) => onOutput(piece.toString(), child))
  const [stdout, stderr, exitCode] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  return { exitCode, stdout, stderr }
}
