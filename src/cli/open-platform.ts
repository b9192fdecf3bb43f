/** Everything that stands between the server and the models, opened in order and closed in order. */
import path from 'node:path'
import { DEFAULT_BACKGROUND_RUN_OPTIONS, DetachedRuns } from '#platform/context/background-runs'
import { StoredResponses } from '#platform/context/response-archive'
import { DEFAULT_FILE_LIMITS, DiskFileShelf } from '#platform/files/file-shelf'
import { usageReports } from '#platform/metering/usage-reports'
import { openObjectStores } from '#platform/objects/open-object-stores'
import type { OnlineModels } from '#platform/online/online-models'
import { modePlanner } from '#platform/planning/mode-planner'
import type { ServerServices } from '#server/services'
import { Metrics } from '#telemetry/metrics'
import { acceptWithRoom } from './accept-with-room.ts'
import type { DiskDamage } from './disk-damage.ts'
import { openCaptures } from './open-captures.ts'
import { type Deployments, openDeployments } from './open-deployments.ts'
import type { Jobs } from './open-jobs.ts'
import { openOnline, type OnlineParts } from './open-online.ts'
import { openWork } from './open-work.ts'

const CAPTURE_CLOSE_MS = 5000
const LEDGER_CLOSE_MS = 5000
const DAY_MS = 86_400_000

export interface PlatformParts extends OnlineParts {
  /** null = a server that keeps no files of callers. */
  readonly dataDir: string | null
  /** Of the body of one call, as the server's door takes it. */
  readonly maxCallBytes: number
  readonly responseRetentionDays: number
  /** Free space of the data directory's disk below which nothing new is accepted; 0 = none is kept. */
  readonly diskReserveBytes: number
  readonly damage: DiskDamage
}

export interface Platform {
  readonly online: OnlineModels
  /** Without credentials, which are the door's to issue. */
  readonly services: ServerServices
  readonly metrics: Metrics
  readonly jobs: Jobs
  readonly deployments: Deployments
  /** After the server is closed and while the models still answer: runs in the background may end within the grace. */
  drain(options: { readonly graceMs: number }): Promise<void>
  /** Writes what is settled. The store stays open. */
  close(): Promise<void>
}

/** Throws store_failed, and invalid_parameter for a file that cannot be. */
export async function openPlatform(parts: PlatformParts): Promise<Platform> {
  const { store, file, clock, log } = parts
  const closing = new AbortController()
  const onFailure = (err: unknown): void => log.error({ err }, 'the store could not be swept')
  const side = await openOnline(parts)
  const { prices, ledger, metrics, routing, provisioned, watch, safety, online } = side
  const background = new DetachedRuns({ ...DEFAULT_BACKGROUND_RUN_OPTIONS, clock })
  const responses = await openResponses(parts, closing.signal, onFailure)
  const files = await openFiles(parts, closing.signal, onFailure)
  const objects = await openObjects(parts)
  const { jobs, asynchronous, asyncTerms } = openWork({ ...parts, files, objects: objects.stores, metrics })
  const captures = openCaptures({ ...parts, objects: objects.stores, metrics })
  const flush = (): Promise<void> => ledger.flush()
  const deployments = openDeployments({
    ...parts,
    flush,
    captures,
    asyncTerms,
    routing,
    objects: objects.stores,
    watch,
    provisioned: provisioned.desk,
    metrics,
  })
  const services = {
    guardrails: safety.archive,
    usage: usageReports(store, flush),
    plans: modePlanner({ store, prices, provisioned: file.provisioned, flush, clock }),
    metrics,
    responses,
    background,
    credentials: null,
    objects: objects.stores,
    ...acceptWithRoom({ jobs: jobs.desk, invocations: asynchronous.invocations, files }, { ...parts, floorBytes: parts.diskReserveBytes }),
    provisioned: provisioned.desk,
    captures,
    ...deployments.services,
  }
  await provisioned.start()
  const close = async (): Promise<void> => {
    closing.abort()
    await deployments.close()
    await provisioned.close()
    await side.shadows.close()
    await asynchronous.close()
    await background.close()
    await captures.close(parts.damage.signal.aborted ? 0 : CAPTURE_CLOSE_MS)
    await ledger.close(parts.damage.signal.aborted ? 0 : LEDGER_CLOSE_MS)
    await side.tracing?.spans.close()
    await Promise.all(side.upstreams.map((upstream) => upstream.close()))
    objects.close()
  }
  return { online, services, metrics, jobs, deployments, drain: (options) => background.close(options), close }
}

function openObjects({ file, dataDir, clock, damage }: PlatformParts): ReturnType<typeof openObjectStores> {
  const onDamage = (bucket: string, error: unknown): void => damage.tell(`the bucket ${bucket}`, error)
  return openObjectStores({ config: file.objects, egress: file.egress, dataDir, clock, onDamage })
}

async function openResponses(
  { store, clock, responseRetentionDays }: PlatformParts,
  signal: AbortSignal,
  onFailure: (err: unknown) => void,
): Promise<StoredResponses> {
  const responses = new StoredResponses({ store, clock, retentionMs: responseRetentionDays * DAY_MS })
  await responses.failUnfinished()
  void responses.sweep(signal, onFailure)
  return responses
}

async function openFiles(
  { store, clock, dataDir, damage }: PlatformParts,
  signal: AbortSignal,
  onFailure: (err: unknown) => void,
): Promise<DiskFileShelf | null> {
  if (dataDir === null) return null
  const onDamage = (error: unknown): void => damage.tell('the folder of files', error)
  const shelf = await DiskFileShelf.open({ ...DEFAULT_FILE_LIMITS, store, clock, folder: path.join(dataDir, 'files'), onDamage })
  void shelf.sweep(signal, onFailure)
  return shelf
}
