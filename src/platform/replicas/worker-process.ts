/** Starts the worker process and gives its pipe a typed form. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { FromWorker, ToWorker } from './messages.ts'

export interface WorkerProcess {
  readonly pid: number | null
  send(message: ToWorker): void
  kill(): void
}

export interface WorkerListeners {
  onMessage(message: FromWorker): void
  /** Called once; words for the operator: `exit code 1`, `signal SIGKILL`. */
  onExit(reason: string): void
}

export type SpawnWorker = (listeners: WorkerListeners) => WorkerProcess

/** The compiled tree holds .js files; the source tree runs as it is. */
const RUNS_FROM_SOURCE = import.meta.url.endsWith('.ts')

export const spawnWorker: SpawnWorker = (listeners) => {
  const entry = fileURLToPath(new URL(RUNS_FROM_SOURCE ? './worker-main.ts' : './worker-main.js', import.meta.url))
  const child = fork(entry, [], {
    serialization: 'advanced',
    execArgv: RUNS_FROM_SOURCE ? ['--conditions=inferd-source'] : [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  let exited = false
  const exit = (reason: string): void => {
    if (exited) return
    exited = true
    listeners.onExit(reason)
  }
  child.on('message', (message) => listeners.onMessage(message as FromWorker))
  child.on('error', (error) => exit(error.message))
  child.on('exit', (code, signal) => exit(signal === null ? `exit code ${code}` : `signal ${signal}`))
  return {
    pid: child.pid ?? null,
    // A dying child's pipe fails here; its exit event tells the story.
    send: (message) => void (child.connected && child.send(message, () => {})),
    kill: () => void child.kill('SIGKILL'),
  }
}
