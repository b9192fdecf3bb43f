/** boto3 and the aws CLI, unchanged, towards the control plane of SageMaker, over the real desks, controller and store; only where this machine has them. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { SeededRandom } from '#base/random'
import { AlarmWatch } from '#platform/deployments/alarm-watch'
import { StoredDeployments } from '#platform/deployments/deployment-desk'
import { EndpointController } from '#platform/deployments/endpoint-controller'
import { EndpointRows } from '#platform/deployments/endpoint-rows'
import { StoredTags } from '#platform/deployments/tag-desk'
import { openStore, type Store } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import { NO_SERVICES } from '#server/services'
import { createLog } from '#telemetry/log'
import { FakeFleet } from '../simulation/fake-fleet.ts'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const run = promisify(execFile)
const CLIENT = join(import.meta.dirname, 'python/sagemaker_control.py')
const VALIDATION = ['ValidationException', 400]

let store: Store
let controller: EndpointController
let target: TestServer

beforeAll(async () => {
  store = await openStore({ file: null })
  const table = new ResourceTable(store.db)
  const fleet = new FakeFleet(systemClock, new SeededRandom(1), { failShare: 0, slowestStartMs: 50 })
  const common = { fleet, clock: systemClock, log: createLog('silent') }
  controller = new EndpointController({ ...common, rows: new EndpointRows(table), peers: null, watch: new AlarmWatch(systemClock), alarms: [] })
  await controller.start()
  const deployments = new StoredDeployments({ ...common, table, controller, alarmNames: [] })
  const tags = new StoredTags({ table, clock: systemClock, maxJobs: 2 })
  target = await startTestServer({ services: { ...NO_SERVICES, deployments, tags } })
})
afterAll(async () => {
  await target.server.close({ graceMs: 0 })
  await controller.close()
  await store.close()
})

async function aws(operation: string, ...words: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const { stdout } = await run('aws', ['sagemaker', operation, '--endpoint-url', target.url, '--output', 'json', ...words], {
    env: AWS_ENVIRONMENT,
    timeout: COMMAND_TIMEOUT_MS,
  })
  return stdout.trim() === '' ? {} : (JSON.parse(stdout) as Readonly<Record<string, unknown>>)
}

test.runIf(hasCommand('python3', '-c', 'import boto3'))(
  'boto3 creates, waits, tags, updates in batches, lists by pages and takes all of it away',
  async () => {
    const { stdout } = await run('python3', [CLIENT, target.url, target.model.name], { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS })
    const names = Array.from({ length: 12 }, (_, index) => `more-${String(index).padStart(2, '0')}`)
    expect(JSON.parse(stdout)).toEqual({
      model: { HF_MODEL_ID: target.model.name },
      modelTags: { team: 'a b' },
      tagged: { a: '2', b: '' },
      left: { b: '' },
      config: 'two',
      count: 3,
      policy: { Type: 'INSTANCE_COUNT', Value: 2 },
      pages: [names.slice(0, 5), names.slice(5, 10), names.slice(10)],
      status: ['chat'],
      duplicate: VALIDATION,
      inUse: VALIDATION,
      unknown: VALIDATION,
      noConfig: VALIDATION,
      badName: VALIDATION,
      noTags: VALIDATION,
      again: {},
    })
  },
  COMMAND_TIMEOUT_MS,
)

test.runIf(hasCommand('aws', '--version'))(
  'the aws CLI deploys an endpoint, waits for it, and reads what is wrong',
  async () => {
    const environment = JSON.stringify({ Environment: { HF_MODEL_ID: target.model.name } })
    await aws('create-model', '--model-name', 'cli', '--primary-container', environment, '--tags', 'Key=by,Value=cli')
    const variants = 'VariantName=main,ModelName=cli,InitialInstanceCount=1'
    await aws('create-endpoint-config', '--endpoint-config-name', 'cli', '--production-variants', variants)
    await aws('create-endpoint', '--endpoint-name', 'cli', '--endpoint-config-name', 'cli')
    await aws('wait', 'endpoint-in-service', '--endpoint-name', 'cli')
    expect(await aws('describe-endpoint', '--endpoint-name', 'cli')).toMatchObject({ EndpointStatus: 'InService', EndpointConfigName: 'cli' })
    const arn = 'arn:aws:sagemaker:local:000000000000:model/cli'
    expect(await aws('list-tags', '--resource-arn', arn)).toEqual({ Tags: [{ Key: 'by', Value: 'cli' }] })
    await expect(aws('describe-endpoint', '--endpoint-name', 'nobody')).rejects.toThrow(/Could not find endpoint/)
  },
  3 * COMMAND_TIMEOUT_MS,
)
