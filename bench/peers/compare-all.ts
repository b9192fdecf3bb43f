/**
 * The whole table of peers in one run: for each model one stream (prefill of 512 and 4,096 tokens, decode after 512 and 8,192), 8 to 64 concurrent
 * streams of 128 + 128 tokens, and 32 requests that share 2,000 tokens. A suite that fails is told at the end, the others go on.
 * Arguments: ROUNDS MODEL [MODEL ...], and the options of the suites. The models' context must hold 8,256 tokens.
 */
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { parseArgs } from 'node:util'

const NUM_THREADS = '2'
const STRING = { type: 'string' } as const
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { peers: STRING, slots: STRING, 'read-gbps': STRING, gmacs: STRING },
})
const [rounds = '5', ...models] = positionals
if (models.length === 0 || !/^\d+$/.test(rounds)) throw new Error('ROUNDS MODEL [MODEL ...]')

const options = Object.entries(values).flatMap(([name, value]) => [`--${name}`, value])
const suites = [
  ['compare.ts', '512,4096', '64', '8192', NUM_THREADS, rounds],
  ['compare-concurrent.ts', '8,16,32,64', '128', '128', NUM_THREADS, rounds],
  ['compare-prefix.ts', '32', '2000', '32', '32', NUM_THREADS, rounds],
] as const

const failed: string[] = []
for (const model of models) {
  for (const [script, ...numbers] of suites) {
    const args = ['--conditions=inferd-source', path.join(import.meta.dirname, script), model, ...numbers, ...options]
    if (spawnSync(process.execPath, args, { stdio: 'inherit' }).status !== 0) failed.push(`${script} ${model}`)
  }
}
for (const name of failed) console.error(`failed: ${name}`)
process.exitCode = failed.length === 0 ? 0 : 1
