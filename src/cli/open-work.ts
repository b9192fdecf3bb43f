/** What runs without a connection put together: jobs, and their kinds, which are batches, transforms and asynchronous invocations. */
import { DeployedTerms } from '#platform/invocations/deployed-terms'
import { batchMaker } from './open-batches.ts'
import { type InvocationParts, type OpenedInvocations, openInvocations } from './open-invocations.ts'
import { type Jobs, type MakeHandler, openJobs } from './open-jobs.ts'
import { transformMaker } from './open-transforms.ts'
import type { PlatformFile } from '#config/platform-file'
import type { ObjectStores } from '#contract/objects'
import type { DiskFileShelf } from '#platform/files/file-shelf'

interface WorkParts extends Omit<InvocationParts, 'desk' | 'stores' | 'deployed' | 'file'> {
  readonly file: Pick<PlatformFile, 'jobs' | 'asyncInference' | 'egress' | 'telemetry'>
  /** null = a server that keeps no files of callers. */
  readonly files: DiskFileShelf | null
  readonly objects: ObjectStores
}

export interface Work {
  readonly jobs: Jobs
  readonly asynchronous: OpenedInvocations
  /** Written by endpoints, read by invocations. */
  readonly asyncTerms: DeployedTerms
}

/** Throws invalid_parameter for topics that cannot be. */
export function openWork(parts: WorkParts): Work {
  const { store, file, files, objects, clock, random, log } = parts
  const makers: MakeHandler[] = [batchMaker({ files, objects, clock, random }), transformMaker({ objects, clock, random })]
  const jobs = openJobs({ store, config: file.jobs, makers, clock, random, log })
  const asyncTerms = new DeployedTerms()
  const asynchronous = openInvocations({ ...parts, desk: jobs.desk, stores: objects, deployed: asyncTerms })
  makers.push(asynchronous.makeHandler)
  return { jobs, asynchronous, asyncTerms }
}
