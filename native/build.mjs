// Compiles the native addon during `npm ci`, without downloading anything: the headers ship with the running Node.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import path from 'node:path'

const MISSING = { 'c++': 'a C++20 compiler (Debian: apt-get install g++)', make: 'make (Debian: apt-get install make)', python3: 'python3 (Debian: apt-get install python3)' }

/** The first of the build tools that is not there, in words, or null. */
function missingTool() {
  for (const [tool, words] of Object.entries(MISSING)) {
    const command = tool === 'c++' ? (process.env.CXX ?? 'c++') : tool === 'python3' ? (process.env.PYTHON ?? 'python3') : tool
    if (spawnSync(command, ['--version'], { stdio: 'ignore' }).status !== 0) return words
  }
  return null
}

if (!existsSync(path.join(import.meta.dirname, 'binding.gyp'))) process.exit(0)
const missing = missingTool()
if (missing !== null) {
  console.error(`inferd compiles its kernels when it is installed and needs ${missing}; install it and run \`npm ci\` again.`)
  process.exit(1)
}
const prefix = path.dirname(path.dirname(process.execPath))
const args = [existsSync(path.join(import.meta.dirname, 'build', 'Makefile')) ? 'build' : 'rebuild', `--jobs=${availableParallelism()}`, '--loglevel=error']
// The running Node's own headers: no download, and always the right ABI.
if (existsSync(path.join(prefix, 'include/node/node_api.h'))) args.push(`--nodedir=${prefix}`)
const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js')
const run = spawnSync(process.execPath, [gyp, ...args], { stdio: ['ignore', 'pipe', 'pipe'], cwd: import.meta.dirname, encoding: 'utf8' })
if (run.status !== 0) {
  console.error(run.stdout + run.stderr)
  console.error('inferd could not compile its kernels; the compiler output is above.')
}
process.exit(run.status ?? 1)
