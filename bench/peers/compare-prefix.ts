/**
 * Requests that share a prefix, inferd beside peers, in turns, each a fresh server: REQUESTS at once, the same PREFIX tokens and SUFFIX others each,
 * OUTPUT tokens of answer. A peer may reuse a prefix only within a slot, so that fewer slots than requests may be better for it: each number of
 * --slots is a peer of its own.
 * Arguments: MODEL [REQUESTS [PREFIX [SUFFIX [OUTPUT [THREADS [ROUNDS]]]]]] [--peers node-llama-cpp,NAME=BUILD_FOLDER[+VARIANT]] [--slots 1,8,32].
 */
import path from 'node:path'
import { printBeside } from './beside.ts'
import { inferd } from './inferd-subject.ts'
import { promptsWithSharedPrefix } from '../engine/random-prompts.ts'
import type { LoadResult, Subject } from './subject.ts'
import { suiteArguments } from './suite-arguments.ts'
import { inTurns } from './turns.ts'

const { modelPath, numbers, peers, slots } = suiteArguments(['32', '2000', '32', '32', '2', '5'])
const [[numRequests = 0] = [], [numPrefix = 0] = [], [numSuffix = 0] = [], [numOutput = 0] = [], [numThreads = 0] = [], [numRounds = 0] = []] =
  numbers
const subjects = [inferd, ...peers.flatMap((peer) => (slots ?? [1, numRequests]).map((numSlots) => withSlots(peer, numSlots)))]

const results = await inTurns(subjects, numRounds, (subject, round) => {
  const prompts = promptsWithSharedPrefix(numRequests, numPrefix, numSuffix, 2 * round)
  return subject.measureLoad({ modelPath, numThreads, numOutput, numSlots: numRequests, prompts })
})
report('totalTimeS', 's', (result) => result.totalMs / 1000)
report('requestsPerS', 'requests/s', (result) => (numRequests * 1000) / result.totalMs)

function withSlots(peer: Subject, numSlots: number): Subject {
  return { ...peer, name: `${peer.name} (${numSlots} slots)`, measureLoad: (order) => peer.measureLoad({ ...order, numSlots }) }
}

function report(metric: string, unit: string, pick: (result: LoadResult) => number): void {
  const series = subjects.map((subject, index) => ({ subject, values: results[index]!.map(pick) }))
  const name = `${path.basename(modelPath)} ${numRequests} requests of ${numPrefix} shared + ${numSuffix} + ${numOutput} tokens, ${numThreads} threads`
  printBeside({ suite: 'peers-prefix', case: name, metric, unit }, series)
}
