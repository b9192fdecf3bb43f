/** CreateTransformJob, DescribeTransformJob, ListTransformJobs, StopTransformJob: jobs of kind 'transform', found by their names. */
import { InferdError } from '#contract/errors'
import type { Job, JobDesk, JobOrder } from '#contract/job'
import { TRANSFORM_NAME_LABEL, transformOf, type TransformSpec } from '#contract/transform'
import { invalid } from '#server/fields'
import type { JsonObject, ServiceContext } from '#server/operation'
import { modelOfTarget } from '../endpoint-model.ts'
import type { AwsJsonOperation } from '#server/aws-json/answer-operation'
import { listMembers, type NamedThing, pageOfNamed } from './named-page.ts'
import { checkMembers } from '#server/aws-json/member-rules'
import { keepTags, readTags } from './tags.ts'
import { NAME_MEMBERS, STATUSES } from './transform-members.ts'
import { readTransformRequest } from './transform-request.ts'
import { arnOf, encodeSummary, encodeTransform, lastModifiedMs, statusOf } from './transform-view.ts'

/** As SageMaker bounds a job. */
const TTL_MS = 5 * 86_400_000
const LIST_MEMBERS = listMembers(STATUSES)
const JOBS_PER_PAGE = 200
/** The newest of a team's; a list looks no further back. */
const MAX_JOBS = 10_000

export const TRANSFORM_OPERATIONS: Readonly<Record<string, AwsJsonOperation>> = {
  CreateTransformJob: async (body, context) => {
    const asked = readTransformRequest(body)
    const tags = readTags(body)
    const spec = { ...asked, model: await servedModel(asked.model, context) }
    checkModel(spec.model, context)
    checkLocations(spec, context)
    await submit(spec, context)
    await keepTags(`transform-job/${context.principal.team}/${spec.name}`, tags, context)
    return { TransformJobArn: arnOf(spec.name) }
  },
  DescribeTransformJob: async (body, context) => encodeTransform(await needTransform(body, context)),
  ListTransformJobs: async (body, context) => {
    const { page, next } = pageOfNamed((await newestTransforms(context)).map(namedOf), body, LIST_MEMBERS)
    return { TransformJobSummaries: page.map(({ job }) => encodeSummary(job)), ...next }
  },
  StopTransformJob: async (body, context) => {
    const job = await needTransform(body, context)
    if (job.endedMs !== null)
      throw new InferdError('invalid_parameter', `The request was rejected because the transform job is in status ${statusOf(job)}.`)
    await needJobs(context).cancel(job.team, job.id)
    return null
  },
}

async function newestTransforms(context: ServiceContext): Promise<readonly Job[]> {
  const found: Job[] = []
  for (let afterId: string | null = null; found.length < MAX_JOBS;) {
    const query = { team: context.principal.team, kind: 'transform', labels: {}, afterId, limit: JOBS_PER_PAGE } as const
    const page = await needJobs(context).list(query)
    found.push(...page)
    const last = page.at(-1)
    if (last === undefined || page.length < JOBS_PER_PAGE) break
    afterId = last.id
  }
  return found
}

function namedOf(job: Job): NamedThing & { readonly job: Job } {
  return { name: transformOf(job).name, createdMs: job.createdMs, modifiedMs: lastModifiedMs(job), status: statusOf(job), job }
}

/** A name is taken for as long as its job is known. */
async function submit(spec: TransformSpec, context: ServiceContext): Promise<void> {
  const { principal } = context
  const order: JobOrder = {
    kind: 'transform',
    principal,
    spec: spec as unknown as JobOrder['spec'],
    labels: { [TRANSFORM_NAME_LABEL]: spec.name },
    lane: principal.team,
    ttlMs: TTL_MS,
    idempotency: { key: `transform-job/${spec.name}`, digest: context.newId('transform') },
  }
  await needJobs(context)
    .submit(order)
    .catch((error: unknown) => {
      if (!(error instanceof InferdError) || error.code !== 'conflict') throw error
      throw new InferdError(
        'conflict',
        `Job name must be unique within an AWS account and region, and a job with this name already exists (${arnOf(spec.name)})`,
      )
    })
}

/** A model that was created here stands for the one that it is made of. */
async function servedModel(name: string, { services: { deployments } }: ServiceContext): Promise<string> {
  const created = (await deployments?.findModel(name)) ?? null
  if (created === null) return name
  if (created.source.kind === 'served') return created.source.model
  throw new InferdError(
    'unsupported_parameter',
    `ModelName: '${name}' is made of an object; transform jobs run on models of the server's configuration`,
  )
}

function checkModel(name: string, { models }: ServiceContext): void {
  const names = models.map((model) => model.name)
  const target = { endpoint: name, component: null, targetModel: null, variant: null, bodyModel: null }
  if (!names.includes(modelOfTarget(target, names))) throw new InferdError('model_not_found', `Could not find model "${name}".`)
}

/** A bucket that the team does not have is told now. */
function checkLocations({ input, output }: TransformSpec, { principal, services: { objects } }: ServiceContext): void {
  if (objects === null) throw new InferdError('unsupported_parameter', 'CreateTransformJob is not offered: this server has no objects')
  for (const [name, uri] of [
    ['S3Uri', input.uri],
    ['S3OutputPath', output.uri],
  ] as const) {
    try {
      objects.locate(principal.team, uri)
    } catch (error) {
      if (error instanceof InferdError) throw invalid(name, `${name}: ${error.message}`)
      throw error
    }
  }
}

/** Throws resource_not_found. */
async function needTransform(body: JsonObject, context: ServiceContext): Promise<Job> {
  checkMembers(body, NAME_MEMBERS)
  return needTransformNamed(String(body['TransformJobName']), context)
}

/** Of the caller's team. Throws resource_not_found. */
export async function needTransformNamed(name: string, context: ServiceContext): Promise<Job> {
  const query = { team: context.principal.team, kind: 'transform', labels: { [TRANSFORM_NAME_LABEL]: name }, afterId: null, limit: 1 } as const
  const [job] = await needJobs(context).list(query)
  if (job === undefined || transformOf(job).name !== name)
    throw new InferdError('resource_not_found', `Could not find requested job with name: ${name}.`)
  return job
}

function needJobs({ services: { jobs } }: ServiceContext): JobDesk {
  if (jobs === null) throw new InferdError('unsupported_parameter', 'this server keeps no jobs')
  return jobs
}
