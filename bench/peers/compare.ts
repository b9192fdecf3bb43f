/**
 * One stream of inferd beside peers on one model file, in turns (A B A B ...), each a fresh process: prefill of each PROMPT, and decode of OUTPUT
 * tokens after the first PROMPT and after DEPTH tokens of context. How the peers are built: bench/README.md.
 * Arguments: MODEL [PROMPT[,PROMPT] [OUTPUT [DEPTH[,DEPTH] [THREADS [ROUNDS]]]]] [--peers node-llama-cpp,NAME=BUILD_FOLDER[+VARIANT]].
 */
import path from 'node:path'
import { inferd } from './inferd-subject.ts'
import type { Speed, SpeedOrder } from './subject.ts'
import { suiteArguments } from './suite-arguments.ts'
import { inTurns, recordsBeside } from './turns.ts'

const { modelPath, numbers, peers } = suiteArguments(['512,4096', '64', '8192', '2', '5'])
const [prefillLengths = [], [numOutput = 0] = [], deep = [], [numThreads = 0] = [], [numRounds = 0] = []] = numbers
const depths = [...new Set([prefillLengths[0]!, ...deep])]
const order: SpeedOrder = { modelPath, numThreads, prefillLengths, depths, numOutput }

const subjects = [inferd, ...peers]
const results = await inTurns(subjects, numRounds, (subject) => subject.measureSpeed(order))
for (const length of prefillLengths) report(`prefill ${length}`, 'prefillTokensPerS', (speed) => speed.prefill[length])
for (const depth of depths) report(`decode ${numOutput} after ${depth}`, 'decodeTokensPerS', (speed) => speed.decode[depth])

function report(phase: string, metric: string, pick: (speed: Speed) => number | undefined): void {
  const series = subjects.map((subject, index) => ({ subject, values: results[index]!.map((speed) => pick(speed) ?? 0) }))
  const name = `${path.basename(modelPath)} ${phase} tokens, ${numThreads} threads`
  for (const record of recordsBeside({ suite: 'peers', case: name, metric, unit: 'tokens/s' }, series)) console.log(JSON.stringify(record))
}
