/**
 * Total throughput of concurrent streams, inferd beside peers, in turns, each a fresh server: STREAMS requests at once over HTTP by one client (node-
 * llama-cpp, which has no server, in its own process), prompts at random with nothing in common, as many slots as streams.
 * Arguments: MODEL [STREAMS[,STREAMS] [PROMPT [OUTPUT [THREADS [ROUNDS]]]]] [--peers node-llama-cpp,NAME=BUILD_FOLDER[+VARIANT]].
 */
import path from 'node:path'
import { printBeside } from './beside.ts'
import { inferd } from './inferd-subject.ts'
import { differentPrompts } from '../engine/random-prompts.ts'
import type { LoadResult } from './subject.ts'
import { suiteArguments } from './suite-arguments.ts'
import { inTurns } from './turns.ts'

const { modelPath, numbers, peers } = suiteArguments(['8,16,32,64', '128', '128', '2', '5'])
const [streamCounts = [], [numPrompt = 0] = [], [numOutput = 0] = [], [numThreads = 0] = [], [numRounds = 0] = []] = numbers
const subjects = [inferd, ...peers]

for (const numStreams of streamCounts) {
  const name = `${path.basename(modelPath)} ${numStreams} streams of ${numPrompt}+${numOutput} tokens, ${numThreads} threads`
  const results = await inTurns(subjects, numRounds, (subject, round) =>
    subject.measureLoad({ modelPath, numThreads, numOutput, numSlots: numStreams, prompts: differentPrompts(numStreams, numPrompt, round) }),
  )
  const report = (metric: string, unit: string, pick: (result: LoadResult) => number): void => {
    const series = subjects.map((subject, index) => ({ subject, values: results[index]!.map(pick) }))
    printBeside({ suite: 'peers-concurrent', case: name, metric, unit }, series)
  }
  report('outputTokensPerS', 'tokens/s', (result) => (result.numOutputTokens * 1000) / result.totalMs)
  report('allTokensPerS', 'tokens/s', (result) => ((result.numOutputTokens + result.numPromptTokens) * 1000) / result.totalMs)
  report('firstTokenMsMedian', 'ms', (result) => result.firstTokenMs)
}
