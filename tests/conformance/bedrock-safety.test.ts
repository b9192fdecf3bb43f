/** Bedrock's guardrails with the real judges behind them: made through the control plane, kept in the store, at work in both forms of an answer. */
import {
  BedrockClient,
  CreateGuardrailCommand,
  type CreateGuardrailCommandInput,
  CreateGuardrailVersionCommand,
  ListGuardrailsCommand,
  UpdateGuardrailCommand,
} from '@aws-sdk/client-bedrock'
import {
  ApplyGuardrailCommand,
  BedrockRuntimeClient,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { directModels } from '#platform/online/online-models'
import { PolicyCache } from '#platform/safety/compiled-policy'
import { GuardrailArchive } from '#platform/safety/guardrail-archive'
import { makeSafetyStage } from '#platform/safety/safety-stage'
import { openStore, type Store } from '#platform/store/open-store'
import { NO_SERVICES } from '#server/services'
import { directoryOf, FakeModel, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const RULES: CreateGuardrailCommandInput = {
  name: 'house-rules',
  blockedInputMessaging: 'Not asked here.',
  blockedOutputsMessaging: 'Not said here.',
  wordPolicyConfig: { wordsConfig: [{ text: 'voodoo' }] },
  sensitiveInformationPolicyConfig: { piiEntitiesConfig: [{ type: 'EMAIL', action: 'ANONYMIZE' }] },
}
const guardrailConfig = { guardrailIdentifier: 'house-rules', guardrailVersion: '1', trace: 'enabled' } as const

let store: Store
let target: TestServer
let control: BedrockClient
let runtime: BedrockRuntimeClient
const model = new FakeModel()

beforeAll(async () => {
  store = await openStore({ file: null })
  const noModel = (): never => {
    throw new InferdError('model_not_found', 'no model judges here')
  }
  const policies = new PolicyCache({ embed: noModel, classifierOf: noModel })
  const archive = new GuardrailArchive({ store, fixed: [], models: { embedding: null, classifier: null }, policies, clock: systemClock })
  const direct = directModels(directoryOf(model))
  const safety = makeSafetyStage({ resolve: (query) => archive.get(query), defaultOf: () => null, policies, clock: systemClock })
  target = await startTestServer({
    model,
    online: { ...direct, generate: safety((call, signal) => direct.generate(call, signal)) },
    services: { ...NO_SERVICES, guardrails: archive },
  })
  const options = {
    endpoint: target.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
  }
  control = new BedrockClient(options)
  runtime = new BedrockRuntimeClient(options)
  const { guardrailId } = await control.send(new CreateGuardrailCommand(RULES))
  await control.send(new CreateGuardrailVersionCommand({ guardrailIdentifier: guardrailId }))
})

beforeEach(() => {
  model.requests.length = 0
})

afterAll(async () => {
  control.destroy()
  runtime.destroy()
  await target.server.close({ graceMs: 0 })
  await store.close()
})

function ask(text: string): ConverseCommandInput {
  return { modelId: 'fake/model', messages: [{ role: 'user', content: [{ text }] }], guardrailConfig }
}

test('a blocked question never reaches the model, and the answer says why', async () => {
  const { output, stopReason, trace } = await runtime.send(new ConverseCommand(ask('Teach me voodoo.')))
  expect([output!.message!.content, stopReason]).toEqual([[{ text: 'Not asked here.' }], 'guardrail_intervened'])
  const [assessment] = Object.values(trace!.guardrail!.inputAssessment!)
  expect(assessment!.wordPolicy!.customWords).toMatchObject([{ match: 'voodoo', action: 'BLOCKED', detected: true }])
  expect(model.requests).toEqual([])
})

test('what must not be said is masked on its way, in a stream as in one piece', async () => {
  const words = ['Write ', 'to fox', '@exam', 'ple.com', ' today.']
  model.script = sayWords(words)
  const whole = await runtime.send(new ConverseCommand(ask('Who?')))
  const { stream } = await runtime.send(new ConverseStreamCommand(ask('Who?')))
  const events = await Array.fromAsync(stream!)
  const text = events.map(({ contentBlockDelta }) => contentBlockDelta?.delta?.text ?? '').join('')
  expect(text).not.toContain('fox@')
  expect(text).toMatch(/^Write to .*EMAIL.* today\.$/)
  expect(whole.output!.message!.content).toEqual([{ text }])
  const [assessments] = Object.values(events.at(-1)!.metadata!.trace!.guardrail!.outputAssessments!)
  expect(assessments!.flatMap(({ sensitiveInformationPolicy }) => sensitiveInformationPolicy?.piiEntities ?? [])).toMatchObject([
    { type: 'EMAIL', match: 'fox@example.com', action: 'ANONYMIZED' },
  ])
})

test('a text is judged without a model', async () => {
  const content = [{ text: { text: 'Mail fox@example.com' } }]
  const applied = await runtime.send(
    new ApplyGuardrailCommand({ guardrailIdentifier: 'house-rules', guardrailVersion: '1', source: 'OUTPUT', content }),
  )
  expect(applied).toMatchObject({ action: 'GUARDRAIL_INTERVENED', actionReason: 'Guardrail masked.' })
  expect(applied.outputs![0]!.text).not.toContain('fox@')
})

test('drafts and versions are listed, and faults of a definition have the path of the request', async () => {
  const drafts = await control.send(new ListGuardrailsCommand({}))
  expect(drafts.guardrails!.map(({ name, version }) => [name, version])).toEqual([['house-rules', 'DRAFT']])
  const guardrailIdentifier = drafts.guardrails![0]!.arn!
  const versions = await control.send(new ListGuardrailsCommand({ guardrailIdentifier }))
  expect(versions.guardrails!.map(({ version }) => version)).toEqual(['DRAFT', '1'])
  const regexesConfig = [{ name: 'bad', pattern: '(?<=a)b', action: 'BLOCK' as const }]
  await expect(
    control.send(new UpdateGuardrailCommand({ ...RULES, guardrailIdentifier, sensitiveInformationPolicyConfig: { regexesConfig } })),
  ).rejects.toMatchObject({
    name: 'ValidationException',
    message: expect.stringContaining('sensitiveInformationPolicyConfig.regexesConfig') as string,
  })
})

test('a guardrail that is not there is no way around one', async () => {
  const missing = { ...ask('hi'), guardrailConfig: { guardrailIdentifier: 'none', guardrailVersion: '1' } }
  await expect(runtime.send(new ConverseStreamCommand(missing))).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  expect(model.requests).toEqual([])
})
