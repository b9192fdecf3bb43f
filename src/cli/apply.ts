/** `inferd apply` and `inferd diff`: what a document changes on a server, shown, made, and waited for. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { parse as parseYaml } from 'yaml'
import { systemClock } from '#base/clock'
import { parseDeclaration } from '#config/deployment-file'
import type { ClientConfig } from '#config/schema'
import type { DeclaredChange } from '#contract/declaration'
import type { Endpoint } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import { changesText, isChange, plainText, progressText } from './change-text.ts'
import { DeploymentClient } from './deployment-client.ts'

export interface ApplyArguments {
  readonly server: ClientConfig
  readonly file: string
  readonly prune: boolean
  /** Nobody is asked. */
  readonly isSure: boolean
  readonly isDryRun: boolean
  /** For the endpoints; 0 = not at all. */
  readonly waitS: number
}

const MAX_FILE_BYTES = 4 * 2 ** 20
const LOOK_MS = 500
const DIFFERS = 2

/** Ends the process with 2 when something would change. */
export async function diff({ server, file, prune }: ApplyArguments, signal: AbortSignal): Promise<void> {
  const changes = await new DeploymentClient(server, signal).apply(readDocument(file), { isDryRun: true, prune })
  process.stdout.write(changesText(changes))
  if (changes.some(isChange)) process.exitCode = DIFFERS
}

/** Throws when an endpoint fails, is rolled back, or is not there in time. */
export async function apply({ server, file, prune, isSure, isDryRun, waitS }: ApplyArguments, signal: AbortSignal): Promise<void> {
  const document = readDocument(file)
  const client = new DeploymentClient(server, signal)
  const planned = await client.apply(document, { isDryRun: true, prune })
  process.stdout.write(changesText(planned))
  if (isDryRun) return
  const numChanges = planned.filter(isChange).length
  if (numChanges > 0 && !isSure && !(await isWanted(numChanges, signal))) {
    process.stdout.write('nothing was changed\n')
    process.exitCode = 1
    return
  }
  const made = numChanges === 0 ? planned : await client.apply(document, { isDryRun: false, prune })
  if (waitS === 0) return
  await settle(client, { changes: made, waitS, signal })
  if (numChanges === 0) return
  // What no endpoint uses any more, and what had to wait for a rollout.
  const rest = await client.apply(document, { isDryRun: false, prune })
  if (rest.some(isChange)) process.stdout.write(changesText(rest))
  await settle(client, { changes: rest, waitS, signal })
}

/** Throws invalid_parameter with the file's name and the field at fault. */
function readDocument(file: string): unknown {
  let document: unknown
  try {
    const bytes = readFileSync(file)
    if (bytes.length > MAX_FILE_BYTES) throw new InferdError('invalid_parameter', `${file} is larger than ${MAX_FILE_BYTES} bytes`)
    document = parseYaml(bytes.toString('utf8'), { schema: 'core', uniqueKeys: true, maxAliasCount: 64, stringKeys: true }) as unknown
  } catch (cause) {
    if (cause instanceof InferdError) throw cause
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : 'it cannot be read'
    throw new InferdError('invalid_parameter', `${file}: ${reason}`, { cause })
  }
  parseDeclaration(document, file)
  return document ?? {}
}

/** Throws invalid_parameter where there is nobody to ask. */
async function isWanted(numChanges: number, signal: AbortSignal): Promise<boolean> {
  const words = `${numChanges} change${numChanges === 1 ? '' : 's'}`
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new InferdError('invalid_parameter', `${words} to make: give --yes, there is no terminal to ask at`, { param: '--yes' })
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test((await terminal.question(`make ${words}? [y/N] `, { signal })).trim())
  } catch (cause) {
    process.stdout.write('\n')
    if (signal.aborted) throw signal.reason
    throw new InferdError('cancelled', 'nothing was changed', { cause })
  } finally {
    terminal.close()
  }
}

interface Waiting {
  readonly changes: readonly DeclaredChange[]
  readonly waitS: number
  readonly signal: AbortSignal
}

/** Tells how far they are, a line a change. Those that another apply has set on their way are waited for as well. */
async function settle(client: DeploymentClient, { changes, waitS, signal }: Waiting): Promise<void> {
  const endpoints = changes.filter(({ kind }) => kind === 'endpoint')
  const told = new Map(endpoints.filter(({ action }) => action !== 'keep').map(({ name }) => [name, '']))
  for (const untilMs = systemClock.nowMs() + waitS * 1000; ; await systemClock.sleep(LOOK_MS, signal)) {
    const now = (await client.state()).endpoints
    const ours = endpoints.flatMap(({ name, action }) => {
      const found = now.find((one) => one.name === name)
      return found === undefined ? [] : [{ endpoint: found, isLeaving: action === 'delete' }]
    })
    for (const { endpoint } of ours) {
      if (isSettled(endpoint) && !told.has(endpoint.name)) continue
      const text = progressText(endpoint)
      if (told.get(endpoint.name) !== text) process.stdout.write(text)
      told.set(endpoint.name, text)
    }
    if (ours.every(({ endpoint, isLeaving }) => !isLeaving && isSettled(endpoint)))
      return requireGood(ours.map(({ endpoint }) => endpoint).filter(({ name, status }) => status === 'Failed' || told.has(name)))
    if (systemClock.nowMs() > untilMs) throw new InferdError('deadline_exceeded', `not all endpoints have come to their end after ${waitS} s`)
  }
}

function isSettled({ status }: Endpoint): boolean {
  return status === 'InService' || status === 'Failed'
}

function requireGood(endpoints: readonly Endpoint[]): void {
  const bad = endpoints.find(({ problem }) => problem !== null)
  if (bad === undefined) return
  const words = bad.status === 'InService' ? 'was rolled back' : `is ${bad.status}`
  throw new InferdError('upstream_failed', `endpoint '${bad.name}' ${words}: ${plainText(bad.problem?.message ?? '')}`)
}
