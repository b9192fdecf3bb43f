/**
 * Of two servers on one PostgreSQL the one that decides about endpoints is killed, or stopped past its lease and let go on; and so is the one
 * that runs a job. The other one takes over, and who wakes up changes nothing any more.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DeregisterScalableTargetCommand, RegisterScalableTargetCommand } from '@aws-sdk/client-application-auto-scaling'
import { DescribeEndpointCommand, UpdateEndpointCommand } from '@aws-sdk/client-sagemaker'
import { afterAll, expect, test } from 'vitest'
import { ask, type AwsClients, awsClients, makeConfig, makeEndpoint, makeModel } from '../e2e/aws-clients.ts'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { HAS_POSTGRES, query, startPostgres } from '../stores/postgres-server.ts'
import { EchoUpstream } from './echo-upstream.ts'
import { accepted, post } from './load-kind.ts'

const NAME = HAS_POSTGRES ? '' : ' (this machine has no initdb)'
const POLL = { timeout: 60_000, interval: 50 }
const PARIS = 'The capital of France is Paris.'
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-stopped-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

class Servers implements AsyncDisposable {
  readonly all: InferdProcess[] = []
  private readonly url: string
  private readonly config: string

  constructor(url: string, config: string) {
    this.url = url
    this.config = config
  }

  async start(): Promise<InferdProcess> {
    const dataDir = path.join(folder, `${path.basename(this.config)}-${this.all.length}`)
    const args = ['--config', this.config, '--data-dir', dataDir, '--store', this.url, '--log-level', 'warn']
    const server = await (await InferdProcess.start(...args)).ready()
    this.all.push(server)
    return server
  }

  async leader(): Promise<InferdProcess> {
    const [row] = await query(this.url, 'select leader.peer from leader join peer on peer.id = leader.peer')
    return this.all.find(({ pid }) => pid === Number(String(row?.['peer']).split(' ')[3]))!
  }

  async revision(endpoint: string): Promise<number> {
    const [row] = await query(this.url, `select revision from resource where kind = 'endpoint' and name = '${endpoint}'`)
    return Number(row?.['revision'])
  }

  /** Living, by what the store knows. */
  async numPeers(): Promise<number> {
    return (await query(this.url, 'select id from peer')).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.all) server.child.kill('SIGCONT')
    await Promise.all(this.all.map((server) => server[Symbol.asyncDispose]()))
  }
}

async function update(aws: AwsClients, config: string): Promise<void> {
  const traffic = { Type: 'CANARY' as const, CanarySize: { Type: 'CAPACITY_PERCENT' as const, Value: 50 }, WaitIntervalInSeconds: 2 }
  const blueGreen = { TrafficRoutingConfiguration: traffic, TerminationWaitInSeconds: 1 }
  await aws.control.send(
    new UpdateEndpointCommand({ EndpointName: 'shared', EndpointConfigName: config, DeploymentConfig: { BlueGreenUpdatePolicy: blueGreen } }),
  )
}

async function replicas(aws: AwsClients): Promise<number | undefined> {
  const { ProductionVariants } = await aws.control.send(new DescribeEndpointCommand({ EndpointName: 'shared' }))
  return ProductionVariants?.[0]?.CurrentInstanceCount
}

/** `config status`, and whether calls are shared with the next configuration. */
async function state(aws: AwsClients): Promise<string> {
  const { EndpointConfigName, EndpointStatus, FailureReason, PendingDeploymentSummary } = await aws.control.send(
    new DescribeEndpointCommand({ EndpointName: 'shared' }),
  )
  expect(FailureReason).toBeUndefined()
  return `${EndpointConfigName} ${EndpointStatus}${PendingDeploymentSummary === undefined ? '' : ' pending'}`
}

test.runIf(HAS_POSTGRES)(
  `a rollout whose leader is killed, and one whose leader is stopped past its lease, are ended by the other server${NAME}`,
  async () => {
    await using postgres = await startPostgres()
    const url = await postgres.makeDatabase()
    const config = path.join(folder, 'endpoints.yaml')
    writeFileSync(config, 'models: [{ name: inferd-chat, path: models/inferd-chat/inferd-chat-Q8_0.gguf, kvCacheMib: 16 }]\n')
    await using servers = new Servers(url, config)
    const [first, second] = [await servers.start(), await servers.start()]
    const made = awsClients(first.baseUrl)
    await makeModel(made, 'm')
    for (const name of ['c1', 'c2', 'c3']) await makeConfig(made, name, { model: 'm' })
    await makeEndpoint(made, 'shared', 'c1')
    // What one server was told the other one serves, too.
    for (const { baseUrl } of [first, second])
      await expect.poll(() => ask(awsClients(baseUrl), 'shared').then(({ text }) => text, String), POLL).toBe(PARIS)

    // One decides about capacity: both have as many replicas, and it was done once.
    const scaled = {
      ServiceNamespace: 'sagemaker',
      ResourceId: 'endpoint/shared/variant/main',
      ScalableDimension: 'sagemaker:variant:DesiredInstanceCount',
    } as const
    await made.scaling.send(new RegisterScalableTargetCommand({ ...scaled, MinCapacity: 2, MaxCapacity: 2 }))
    for (const { baseUrl } of [first, second]) await expect.poll(() => replicas(awsClients(baseUrl)), POLL).toBe(2)
    expect(await query(url, "select name from resource where kind = 'scaling-activity'")).toHaveLength(1)
    await made.scaling.send(new DeregisterScalableTargetCommand(scaled))

    const killed = await servers.leader()
    const other = killed === first ? second : first
    const aws = awsClients(other.baseUrl)
    await update(aws, 'c2')
    await expect.poll(() => state(aws), POLL).toBe('c1 Updating pending')
    killed.child.kill('SIGKILL')
    await expect.poll(async () => (await servers.leader()) === other, POLL).toBe(true)
    while ((await state(aws)) !== 'c2 InService') expect((await ask(aws, 'shared')).text).toBe(PARIS)

    const third = await servers.start()
    expect((await ask(awsClients(third.baseUrl), 'shared')).text).toBe(PARIS)
    await expect.poll(() => servers.numPeers(), POLL).toBe(2)
    const awsOfThird = awsClients(third.baseUrl)
    await update(awsOfThird, 'c3')
    await expect.poll(() => state(awsOfThird), POLL).toBe('c2 Updating pending')
    other.child.kill('SIGSTOP')
    await expect.poll(async () => (await servers.leader()) === third, POLL).toBe(true)
    while ((await state(awsOfThird)) !== 'c3 InService') expect((await ask(awsOfThird, 'shared')).text).toBe(PARIS)
    const revision = await servers.revision('shared')
    other.child.kill('SIGCONT')
    await expect.poll(() => servers.numPeers(), POLL).toBe(2)
    // Back again, it has come to what the other one has decided, and has decided nothing.
    await expect.poll(() => other.log, POLL).toContain('declared dead')
    await expect.poll(() => ask(aws, 'shared').then(({ text }) => text, String), POLL).toBe(PARIS)
    expect([await state(aws), await servers.revision('shared'), await servers.leader()]).toEqual(['c3 InService', revision, third])
  },
  180_000,
)

test.runIf(HAS_POSTGRES)(
  `a job whose server is stopped past its lease is run by the other one, and its result is taken once${NAME}`,
  async () => {
    await using postgres = await startPostgres()
    const url = await postgres.makeDatabase()
    using upstream = await EchoUpstream.start({ name: /record [\w-]+/, answerMs: 1000 })
    const shared = path.join(folder, 'shared')
    const config = path.join(folder, 'jobs.yaml')
    mkdirSync(path.join(shared, 'in'), { recursive: true })
    writeFileSync(path.join(shared, 'in/one'), JSON.stringify({ messages: [{ role: 'user', content: 'record one' }] }))
    const objects = `objects: { buckets: { shared: { folder: ${shared}, teams: [local] } } }\n`
    writeFileSync(config, `${upstream.yaml}${objects}asyncInference: { outputLocation: 's3://shared/out' }\n`)
    await using servers = new Servers(url, config)
    await servers.start()
    await servers.start()
    const job = async (): Promise<Readonly<Record<string, unknown>>> =>
      (await query(url, 'select holder, phase, attempt, verdict, result from job'))[0] ?? {}
    await accepted(post(servers.all[0]!, '/endpoints/far/async-invocations', '', { 'x-amzn-sagemaker-inputlocation': 's3://shared/in/one' }))
    await expect.poll(() => upstream.numCalls, { ...POLL, interval: 5 }).toBe(1)
    const held = await job()
    const stopped = servers.all.find(({ pid }) => pid === Number(String(held['holder']).split(' ')[3]))!
    stopped.child.kill('SIGSTOP')
    await expect.poll(async () => (await job())['phase'], POLL).toBe('ended')
    const ended = await job()
    expect(ended).toMatchObject({ verdict: 'succeeded', attempt: 2 })
    const outputs = (): readonly string[] =>
      readdirSync(path.join(shared, 'out')).map((name) => `${name} ${readFileSync(path.join(shared, 'out', name), 'utf8')}`)
    const shown = outputs()
    expect(shown).toHaveLength(1)
    stopped.child.kill('SIGCONT')
    await expect.poll(() => stopped.log, POLL).toContain('declared dead')
    await expect.poll(async () => (await query(url, 'select id from job_holder')).length, POLL).toBe(2)
    stopped.child.kill('SIGTERM')
    expect(await stopped.exited()).toBe(0)
    expect([await job(), outputs(), upstream.numCalls]).toEqual([ended, shown, 2])
  },
  180_000,
)
