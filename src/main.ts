#!/usr/bin/env node
/** The composition root: parses the command line, turns signals into one orderly end, and errors into an exit code. */
import { readFileSync } from 'node:fs'
import { useCompileCache } from '#base/compile-cache'
import { InferdError } from '#contract/errors'

useCompileCache()
const { commandLine } = await import('#cli/command-line')

const { version }: { version: string } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const stop = new AbortController()

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // Who asks twice does not want to wait.
    if (stop.signal.aborted) process.exit(130)
    stop.abort(new InferdError('cancelled', `stopped by ${name}`))
  })
}

// `inferd inspect MODEL | head`: whoever read us has enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

try {
  await commandLine(version, stop.signal).parseAsync()
} catch (error) {
  if (!(error instanceof InferdError)) throw error
  process.stderr.write(`inferd: ${error.message}\n`)
  process.exitCode = error.code === 'cancelled' ? 130 : 1
}
