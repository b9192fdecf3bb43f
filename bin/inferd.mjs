#!/usr/bin/env node
// The installed command. Old Node versions get one sentence instead of a syntax error.
import '../scripts/preflight.mjs'

await import('../dist/main.js')
