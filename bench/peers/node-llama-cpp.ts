/** node-llama-cpp, installed in this folder: many requests are sequences of one context, as its documentation has it; it has no server. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { lastLineOf } from './child-output.ts'
import { contextPerSlot, type LoadResult, type Speed, type Subject } from './subject.ts'

const MANIFEST = path.join(import.meta.dirname, 'node_modules/node-llama-cpp/package.json')

/** Throws where it is not installed. */
export function nodeLlamaCpp(): Subject {
  if (!existsSync(MANIFEST)) throw new Error('first: cd bench/peers && npm install --ignore-scripts --no-package-lock')
  const { version } = JSON.parse(readFileSync(MANIFEST, 'utf8')) as { readonly version: string }
  return {
    name: 'node-llama-cpp',
    version,
    measureSpeed: async (order) => run('llama-cpp-speed.mjs', order) as Speed,
    measureLoad: async (order) => run('llama-cpp-streams.mjs', { ...order, contextPerSlot: contextPerSlot(order) }) as LoadResult,
  }
}

function run(script: string, order: object): unknown {
  return JSON.parse(lastLineOf(process.execPath, [script], { cwd: import.meta.dirname, input: JSON.stringify(order) }))
}
