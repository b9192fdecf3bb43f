/**
 * inferd against node-llama-cpp on one model file, interleaved: A B A B ..., each run a fresh process with the same prompt lengths
 * and threads. Install the peer first: cd bench/peers && npm install --ignore-scripts --no-package-lock.
 * Arguments: MODEL [NUM_PROMPT [NUM_OUTPUT [THREADS [ROUNDS]]]].
 */
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import type { BenchRecord } from '../record.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const [modelPath = '', numPrompt = '512', numOutput = '64', threads = '2', rounds = '5'] = process.argv.slice(2)
const METRICS = ['prefillTokensPerS', 'decodeTokensPerS'] as const

type Speed = Readonly<Record<(typeof METRICS)[number], number>>

function runOne(script: readonly string[], cwd: string): Speed {
  const run = spawnSync(process.execPath, script, { cwd, encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'inherit'] })
  return JSON.parse(run.stdout.trim().split('\n').at(-1)!)
}

const model = path.resolve(modelPath)
const ours: Speed[] = []
const peers: Speed[] = []
for (let round = 0; round < Number(rounds); round++) {
  ours.push(runOne(['--conditions=inferd-source', 'bench/engine/speed.ts', model, numPrompt, numOutput, threads], ROOT))
  peers.push(runOne(['llama-cpp.mjs', 'speed', model, numPrompt, numOutput, threads], path.join(ROOT, 'bench/peers')))
}

for (const metric of METRICS) {
  const [mine, theirs] = [ours.map((run) => run[metric]), peers.map((run) => run[metric])]
  const ratios = mine.map((value, index) => value / theirs[index]!)
  const record: BenchRecord = {
    suite: 'peers',
    case: `${path.basename(model)} ${numPrompt}+${numOutput} tokens, ${threads} threads`,
    metric,
    unit: 'tokens/s',
    value: median(mine),
    spread: Math.max(...mine) / Math.min(...mine),
    peer: 'node-llama-cpp',
    peerValue: median(theirs),
    ratio: median(ratios),
  }
  console.log(JSON.stringify(record))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}
