/** The worker process: one engine, one pipe. Ends itself when the gateway is gone. */
import { readFileSync, writeFileSync, writeSync } from 'node:fs'
import { assert } from '#base/assert'
import { loadEngine, planEngine } from '#engine/load-engine'
import type { FromWorker, ToWorker } from './messages.ts'
import { WorkerSession } from './worker-session.ts'

/** Linux: half of the machine's memory, in the thousandths that its out-of-memory killer counts in. */
const OOM_SCORE_ADDED = 500
const MAX_OOM_SCORE = 1000

volunteerForOomKill()

const session = new WorkerSession({
  send,
  loadEngine,
  planEngine,
  defer: (task) => queueMicrotask(task),
  // Standard error is the gateway's own.
  onBug: (error) => writeSync(2, `inferd worker: ${error instanceof Error ? error.stack : String(error)}\n`),
  onClosed: () => {
    process.removeListener('disconnect', endNow)
    process.disconnect?.()
  },
})

/** When memory runs out the kernel shall end the worker, which is started again, and not the gateway, which starts it. */
function volunteerForOomKill(): void {
  const file = '/proc/self/oom_score_adj'
  try {
    writeFileSync(file, String(Math.min(MAX_OOM_SCORE, Number(readFileSync(file, 'latin1')) + OOM_SCORE_ADDED)))
  } catch {
    // Another system, or no /proc: then the kernel chooses.
  }
}

/** A failed send means that the gateway is gone; 'disconnect' follows and ends us. */
function send(message: FromWorker): void {
  assert(process.send !== undefined, 'the worker runs only as a child of the gateway')
  process.send(message, undefined, {}, () => {})
}

/** Without a gateway nobody waits for an answer: a step that still runs is not worth finishing. */
function endNow(): void {
  process.kill(process.pid, 'SIGKILL')
}

// Signals to the whole process group (Ctrl-C) reach us too; only the gateway decides when to stop.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('message', (message) => session.handle(message as ToWorker))
process.once('disconnect', endNow)
// The process is up: what came before was the runtime's and our own start.
send({ type: 'progress', loadedBytes: 0, totalBytes: 0 })
