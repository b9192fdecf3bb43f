/** `inferd apply` and `inferd diff`: what a document changes on a server, shown, made, and waited for. */
import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import { systemClock } from '#base/clock'
import { parseDeclaration } from '#config/deployment-file'
import type { DeclaredChange } from '#contract/declaration'
import type { Endpoint } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import { DeploymentClient, type ServerAddress } from './deployment-client.ts'
import { statusTable } from './deployment-status.ts'

export interface ApplyArguments extends ServerAddress {
  readonly file: string
  readonly prune: boolean
  /** Seconds to wait for the endpoints; 0 = not at all. */
  readonly waitS: number
}

const MAX_FILE_BYTES = 4 * 2 ** 20
const LOOK_MS = 500
const DIFFERS = 2
const SIGNS: Readonly<Record<DeclaredChange['action'], string>> = { create: '+', update: '~', replace: '!', delete: '-', later: ' ', keep: ' ' }

/** Ends the process with 2 when something would change. */
export async function diff(args: ApplyArguments, signal: AbortSignal): Promise<void> {
  const document = readDocument(args.file)
  const changes = await new DeploymentClient(args, signal).apply(document, { isDryRun: true, prune: args.prune })
  process.stdout.write(changesText(changes))
  if (changes.some(({ action }) => action !== 'keep')) process.exitCode = DIFFERS
}

/** Throws when an endpoint fails, is rolled back, or is not there in time. */
export async function apply(args: ApplyArguments, signal: AbortSignal): Promise<void> {
  const document = readDocument(args.file)
  const client = new DeploymentClient(args, signal)
  const changes = await client.apply(document, { isDryRun: false, prune: args.prune })
  process.stdout.write(changesText(changes))
  const endpoints = changes.flatMap(({ kind, action, name }) => (kind === 'endpoint' && action !== 'keep' && action !== 'delete' ? [name] : []))
  if (args.waitS > 0 && endpoints.length > 0) await settled(client, { endpoints, waitS: args.waitS, signal })
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

function changesText(changes: readonly DeclaredChange[]): string {
  const made = changes.filter(({ action }) => action !== 'keep')
  if (made.length === 0) return 'nothing to change\n'
  return made
    .map(
      ({ action, kind, name, details }) =>
        `${SIGNS[action]} ${action.padEnd(7)} ${kind} ${name}\n${details.map((line) => `            ${line}\n`).join('')}`,
    )
    .join('')
}

/** `endpoints`: names of those that the document changed. */
interface Waiting {
  readonly endpoints: readonly string[]
  readonly waitS: number
  readonly signal: AbortSignal
}

async function settled(client: DeploymentClient, { endpoints, waitS, signal }: Waiting): Promise<void> {
  let told = ''
  for (const untilMs = systemClock.nowMs() + waitS * 1000; ; await systemClock.sleep(LOOK_MS, signal)) {
    const state = await client.state()
    const ours = state.endpoints.filter(({ name }) => endpoints.includes(name))
    const text = statusTable({ ...state, endpoints: ours })
    if (text !== told) process.stdout.write(`\n${text}`)
    told = text
    if (ours.every(({ status }) => status === 'InService' || status === 'Failed')) return requireGood(ours)
    if (systemClock.nowMs() > untilMs) throw new InferdError('deadline_exceeded', `not all endpoints are in service after ${waitS} s`)
  }
}

function requireGood(endpoints: readonly Endpoint[]): void {
  const bad = endpoints.find(({ problem }) => problem !== null)
  if (bad !== undefined) throw new InferdError('upstream_failed', `endpoint '${bad.name}' is ${bad.status}: ${bad.problem?.message ?? ''}`)
}
