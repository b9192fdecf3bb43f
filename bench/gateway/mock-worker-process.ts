/** The mock worker as a child on the core of the load, over the pipe of real workers. */
import { type ChildProcess, fork } from 'node:child_process'
import path from 'node:path'

const WORKER_CORE = '1'

export function forkMockWorker(args: readonly string[]): ChildProcess {
  return fork(path.join(import.meta.dirname, 'mock-worker.js'), args, {
    serialization: 'advanced',
    execPath: 'taskset',
    execArgv: ['-c', WORKER_CORE, process.execPath],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
}
