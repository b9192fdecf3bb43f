/** Replays one simulation: node --conditions=inferd-source tests/simulation/replay.ts SEED [STEPS]. Prints what it reached, or fails as it did. */
import { simulate } from './simulate.ts'

const [seed = '1', numSteps = '1000'] = process.argv.slice(2)
console.log(await simulate({ seed: Number(seed), numSteps: Number(numSteps) }))
