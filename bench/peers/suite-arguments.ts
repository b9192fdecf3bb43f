/** Arguments that the suites against peers have in common. */
import path from 'node:path'
import { parseArgs } from 'node:util'
import type { MachineLimits } from '../engine/token-work.ts'
import { llamaBuild, type LlamaVariant } from './llama-build.ts'
import { nodeLlamaCpp } from './node-llama-cpp.ts'
import type { Subject } from './subject.ts'

export interface SuiteArguments {
  readonly modelPath: string
  /** What stands after MODEL: one list of numbers an argument. */
  readonly numbers: readonly (readonly number[])[]
  readonly peers: readonly Subject[]
  /** Slots that the peers are given, each number a subject of its own; null: the suite's own choice. */
  readonly slots: readonly number[] | null
  /** What the machine was measured to do; null: not told. */
  readonly machine: MachineLimits | null
}

/** `defaults` are the numbers that are not given, each `512` or `512,4096`. Throws on anything else. */
export function suiteArguments(defaults: readonly string[]): SuiteArguments {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      peers: { type: 'string', default: 'node-llama-cpp' },
      slots: { type: 'string' },
      'read-gbps': { type: 'string' },
      gmacs: { type: 'string' },
    },
  })
  const [modelPath, ...given] = positionals
  if (modelPath === undefined || given.length > defaults.length)
    throw new Error(`MODEL and at most ${defaults.length} numbers (default ${defaults.join(' ')})`)
  return {
    modelPath: path.resolve(modelPath),
    numbers: defaults.map((text, index) => numberList(given[index] ?? text)),
    peers: values.peers.split(',').filter(Boolean).map(peerOf),
    slots: values.slots === undefined ? null : numberList(values.slots),
    machine: machineOf(values['read-gbps'], values.gmacs),
  }
}

/** `node-llama-cpp`, or `NAME=BUILD_FOLDER` with a variant at its end. */
function peerOf(text: string): Subject {
  if (text === 'node-llama-cpp') return nodeLlamaCpp()
  const [, name, folder, variant] = /^([\w.+-]+)=(.+?)(?:\+(repack|no-amx))?$/.exec(text) ?? []
  if (name === undefined || folder === undefined) throw new Error(`'${text}' is neither node-llama-cpp nor NAME=BUILD_FOLDER[+repack|+no-amx]`)
  return llamaBuild({
    name: variant === undefined ? name : `${name}+${variant}`,
    folder: path.resolve(folder),
    variant: (variant as LlamaVariant) ?? null,
  })
}

function machineOf(readGbps: string | undefined, gmacs: string | undefined): MachineLimits | null {
  if (readGbps === undefined && gmacs === undefined) return null
  const [readBytesPerS, macsPerS] = [Number(readGbps) * 1e9, Number(gmacs) * 1e9]
  if (!(readBytesPerS > 0) || !(macsPerS > 0)) throw new Error('--read-gbps and --gmacs are positive numbers, given together')
  return { readBytesPerS, macsPerS }
}

function numberList(text: string): number[] {
  const numbers = text.split(',').map(Number)
  if (!numbers.every((number) => Number.isSafeInteger(number) && number > 0)) throw new Error(`'${text}' is no list of positive numbers`)
  return numbers
}
