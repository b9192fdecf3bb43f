/**
 * One stream of inferd beside peers on one model file, in turns (A B A B ...), each a fresh process: prefill of each PROMPT, and decode of OUTPUT
 * tokens after the first PROMPT and after DEPTH tokens of context. How the peers are built: bench/peers/README.md.
 * --read-gbps and --gmacs, measured on the same machine with as many threads, give the limits: reading for decode, dot products for prefill.
 * Arguments: MODEL [PROMPT[,PROMPT] [OUTPUT [DEPTH[,DEPTH] [THREADS [ROUNDS]]]]] [--peers node-llama-cpp,NAME=BUILD_FOLDER[+VARIANT]]
 * [--read-gbps GB/S --gmacs GMAC/S].
 */
import path from 'node:path'
import { decodeLimit, prefillLimit, readTokenWork } from '../engine/token-work.ts'
import { type Metric, printBeside } from './beside.ts'
import { inferd } from './inferd-subject.ts'
import type { Speed, SpeedOrder } from './subject.ts'
import { suiteArguments } from './suite-arguments.ts'
import { inTurns } from './turns.ts'

const { modelPath, numbers, peers, machine } = suiteArguments(['512,4096', '64', '8192', '2', '5'])
const [prefillLengths = [], [numOutput = 0] = [], deep = [], [numThreads = 0] = [], [numRounds = 0] = []] = numbers
const depths = [...new Set([prefillLengths[0]!, ...deep])]
const order: SpeedOrder = { modelPath, numThreads, prefillLengths, depths, numOutput }

const subjects = [inferd, ...peers]
const results = await inTurns(subjects, numRounds, (subject) => subject.measureSpeed(order))
const work = machine === null ? null : await readTokenWork(modelPath)
for (const length of prefillLengths) {
  const limit = machine === null || work === null ? {} : { limit: prefillLimit(work, machine) }
  report({ ...metricOf(`prefill ${length}`, 'prefillTokensPerS'), ...limit }, (speed) => speed.prefill[length])
}
for (const depth of depths) {
  const limit = machine === null || work === null ? {} : { limit: decodeLimit(work, machine, depth) }
  report({ ...metricOf(`decode ${numOutput} after ${depth}`, 'decodeTokensPerS'), ...limit }, (speed) => speed.decode[depth])
}

function metricOf(phase: string, metric: string): Metric {
  return { suite: 'peers', case: `${path.basename(modelPath)} ${phase} tokens, ${numThreads} threads`, metric, unit: 'tokens/s' }
}

function report(metric: Metric, pick: (speed: Speed) => number | undefined): void {
  const series = subjects.map((subject, index) => ({ subject, values: results[index]!.map((speed) => pick(speed) ?? 0) }))
  printBeside(metric, series)
}
