/** Entry of the compile thread: output specifications in, automata out, one at a time. Knows no model and keeps nothing. */
import { parentPort } from 'node:worker_threads'
import { assert } from '#base/assert'
import { toErrorRecord } from '#contract/errors'
import type { Automaton } from '#engine/grammar/automaton'
import type { CompileAnswer, CompileRequest } from './compile-messages.ts'
import { compileOutput } from './compile-output.ts'

assert(parentPort !== null, 'the compile thread is started by the grammar compiler')
const port = parentPort

port.on('message', (request: CompileRequest) => answer(request))
port.postMessage({ type: 'ready', cpuMs: cpuMs() } satisfies CompileAnswer)

function answer({ job, spec }: CompileRequest): void {
  try {
    const automaton = compileOutput(spec)
    port.postMessage({ type: 'compiled', job, automaton, cpuMs: cpuMs() } satisfies CompileAnswer, buffersOf(automaton))
  } catch (error) {
    port.postMessage({ type: 'failed', job, error: toErrorRecord(error), cpuMs: cpuMs() } satisfies CompileAnswer)
  }
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

function buffersOf(automaton: Automaton): ArrayBuffer[] {
  const columns: readonly unknown[] = Object.values(automaton)
  return columns.flatMap((value) => (ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer ? [value.buffer] : []))
}
