/** Guardrails by the official clients of both planes: made and changed, applied, asked for in calls, seen in traces. */
import {
  BedrockClient,
  CreateGuardrailCommand,
  type CreateGuardrailCommandInput,
  CreateGuardrailVersionCommand,
  DeleteGuardrailCommand,
  GetFoundationModelCommand,
  GetGuardrailCommand,
  ListFoundationModelsCommand,
  ListGuardrailsCommand,
  UpdateGuardrailCommand,
} from '@aws-sdk/client-bedrock'
import {
  ApplyGuardrailCommand,
  BedrockRuntimeClient,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  InvokeModelCommand,
} from '@aws-sdk/client-bedrock-runtime'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { OnlineCall } from '#contract/call'
import type { GuardrailTrace } from '#contract/guardrail'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { directModels, type OnlineModels } from '#platform/online/online-models'
import { NO_SERVICES } from '#server/services'
import { FakeGuardrails } from './fake-guardrails.ts'
import { directoryOf, FakeModel } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const GUARDRAIL: CreateGuardrailCommandInput = {
  name: 'house-rules',
  description: 'What we do not say.',
  blockedInputMessaging: 'Not asked here.',
  blockedOutputsMessaging: 'Not said here.',
  wordPolicyConfig: { wordsConfig: [{ text: 'voodoo' }, { text: 'hush', inputAction: 'NONE' }], managedWordListsConfig: [{ type: 'PROFANITY' }] },
  sensitiveInformationPolicyConfig: {
    piiEntitiesConfig: [{ type: 'EMAIL', action: 'ANONYMIZE' }],
    regexesConfig: [{ name: 'ticket', pattern: 'T-\\d+', action: 'BLOCK' }],
  },
  topicPolicyConfig: { topicsConfig: [{ name: 'Tax', definition: 'Advice on taxes.', examples: ['How do I save tax?'], type: 'DENY' }] },
  contentPolicyConfig: { filtersConfig: [{ type: 'PROMPT_ATTACK', inputStrength: 'HIGH', outputStrength: 'NONE' }] },
  contextualGroundingPolicyConfig: { filtersConfig: [{ type: 'GROUNDING', threshold: 0.7 }] },
}
const ASK: ConverseCommandInput = { modelId: 'fake/model', messages: [{ role: 'user', content: [{ text: 'hi' }] }] }

const TRACE: GuardrailTrace = {
  guardrailId: 'gr1',
  version: '1',
  intervened: true,
  shown: true,
  assessments: [
    {
      direction: 'input',
      judgedCharacters: 1200,
      latencyMs: 2.6,
      findings: [
        {
          policy: 'prompt-attack',
          rule: 'PROMPT_ATTACK',
          action: 'none',
          match: 'x',
          start: 0,
          end: 1,
          score: 0.5,
          threshold: 0.4,
          confidence: 'LOW',
        },
      ],
    },
    {
      direction: 'output',
      judgedCharacters: 20,
      latencyMs: 1,
      findings: [
        { policy: 'pii', rule: 'EMAIL', action: 'mask', match: 'a@b.c', start: 0, end: 5, score: null, threshold: null, confidence: null },
        { policy: 'grounding', rule: 'GROUNDING', action: 'block', match: '', start: 0, end: 0, score: 0.2, threshold: 0.7, confidence: null },
      ],
    },
  ],
}

let target: TestServer
let control: BedrockClient
let runtime: BedrockRuntimeClient
let calls: OnlineCall[]
let trace: GuardrailTrace | null
const model = new FakeModel()

beforeAll(async () => {
  calls = []
  const direct = directModels(directoryOf(model))
  const online: OnlineModels = {
    ...direct,
    generate: (call, signal) => {
      calls.push(call)
      call.report.guardrail = trace
      return direct.generate(call, signal)
    },
  }
  target = await startTestServer({ model, online, services: { ...NO_SERVICES, guardrails: new FakeGuardrails() } })
  const options = {
    endpoint: target.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
  }
  control = new BedrockClient(options)
  runtime = new BedrockRuntimeClient(options)
})

beforeEach(() => {
  calls.length = 0
  trace = null
})

afterAll(async () => {
  control.destroy()
  runtime.destroy()
  await target.server.close({ graceMs: 0 })
})

describe('the control plane', () => {
  test('makes, shows, changes, versions and deletes a guardrail', async () => {
    const { guardrailId, guardrailArn, version, createdAt } = await control.send(new CreateGuardrailCommand(GUARDRAIL))
    expect([guardrailId, version, createdAt]).toEqual(['gr1', 'DRAFT', new Date(1_700_000_000_000)])
    expect(guardrailArn).toMatch(/^arn:aws:bedrock:local:\d{12}:guardrail\/gr1$/)
    const shown = await control.send(new GetGuardrailCommand({ guardrailIdentifier: guardrailArn }))
    expect(shown).toMatchObject({
      name: 'house-rules',
      status: 'READY',
      blockedInputMessaging: 'Not asked here.',
      wordPolicy: {
        words: [
          { text: 'voodoo', inputAction: 'BLOCK', outputAction: 'BLOCK' },
          { text: 'hush', inputAction: 'NONE', outputAction: 'BLOCK' },
        ],
        managedWordLists: [{ type: 'PROFANITY' }],
      },
      sensitiveInformationPolicy: {
        piiEntities: [{ type: 'EMAIL', action: 'ANONYMIZE' }],
        regexes: [{ name: 'ticket', pattern: 'T-\\d+', action: 'BLOCK' }],
      },
      topicPolicy: { topics: [{ name: 'Tax', type: 'DENY', examples: ['How do I save tax?'] }] },
      contentPolicy: { filters: [{ type: 'PROMPT_ATTACK', inputStrength: 'HIGH', outputStrength: 'NONE' }] },
      contextualGroundingPolicy: { filters: [{ type: 'GROUNDING', threshold: 0.7 }] },
    })
    const { description, blockedInputMessaging, blockedOutputsMessaging } = GUARDRAIL
    const plain = {
      name: 'house-rules',
      description,
      blockedInputMessaging,
      blockedOutputsMessaging,
      wordPolicyConfig: { wordsConfig: [{ text: 'voodoo' }] },
    }
    const { updatedAt } = await control.send(new UpdateGuardrailCommand({ guardrailIdentifier: guardrailId, ...plain }))
    expect(updatedAt).toEqual(new Date(1_700_000_001_000))
    const made = await control.send(new CreateGuardrailVersionCommand({ guardrailIdentifier: guardrailId, description: 'first' }))
    expect(made.version).toBe('1')
    const all = await control.send(new ListGuardrailsCommand({}))
    expect(all.guardrails).toMatchObject([{ id: 'gr1', version: 'DRAFT' }])
    const versions = await control.send(new ListGuardrailsCommand({ guardrailIdentifier: guardrailId }))
    expect(versions.guardrails!.map((each) => each.version)).toEqual(['DRAFT', '1'])
    const firstPage = await control.send(new ListGuardrailsCommand({ guardrailIdentifier: guardrailId, maxResults: 1 }))
    const nextPage = await control.send(new ListGuardrailsCommand({ guardrailIdentifier: guardrailId, nextToken: firstPage.nextToken }))
    expect([firstPage, nextPage].map(({ guardrails }) => guardrails!.map((each) => each.version))).toEqual([['DRAFT'], ['1']])
    await control.send(new DeleteGuardrailCommand({ guardrailIdentifier: guardrailId }))
    await expect(control.send(new GetGuardrailCommand({ guardrailIdentifier: guardrailId }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      $metadata: { httpStatusCode: 404 },
    })
  })

  test('tells a name that is taken', async () => {
    await control.send(new CreateGuardrailCommand({ ...GUARDRAIL, name: 'twice' }))
    await expect(control.send(new CreateGuardrailCommand({ ...GUARDRAIL, name: 'twice' }))).rejects.toMatchObject({ name: 'ConflictException' })
  })

  test('takes the models that judge from tags and keeps them when the rest changes', async () => {
    const tags = [
      { key: 'inferd:embeddingModel', value: 'e5' },
      { key: 'inferd:classifierModel', value: 'judge' },
    ]
    const { guardrailId } = await control.send(new CreateGuardrailCommand({ ...GUARDRAIL, name: 'judged', tags }))
    await expect(control.send(new UpdateGuardrailCommand({ ...GUARDRAIL, name: 'judged', guardrailIdentifier: guardrailId }))).resolves.toBeDefined()
  })

  test.each([
    ['name', { name: 'no spaces' }],
    ['kmsKeyId', { kmsKeyId: 'arn:aws:kms:us-east-1:123456789012:key/1' }],
    ['crossRegionConfig', { crossRegionConfig: { guardrailProfileIdentifier: 'us.guardrail.v1:0' } }],
    ['tags[0].key', { tags: [{ key: 'cost', value: '1' }] }],
    [
      'sensitiveInformationPolicyConfig.piiEntitiesConfig[0].type',
      { sensitiveInformationPolicyConfig: { piiEntitiesConfig: [{ type: 'AGE', action: 'BLOCK' }] } },
    ],
    [
      'contextualGroundingPolicyConfig.filtersConfig[0].threshold',
      { contextualGroundingPolicyConfig: { filtersConfig: [{ type: 'GROUNDING', threshold: 1 }] } },
    ],
  ] as const)('refuses %s by its path', async (path, change) => {
    const body = { ...GUARDRAIL, ...change } as CreateGuardrailCommandInput
    await expect(control.send(new CreateGuardrailCommand(body))).rejects.toMatchObject({
      name: 'ValidationException',
      message: expect.stringContaining(path) as string,
    })
  })

  test('shows the models of this server', async () => {
    const { modelSummaries } = await control.send(new ListFoundationModelsCommand({}))
    expect(modelSummaries).toMatchObject([{ modelId: 'fake/model', providerName: 'inferd', responseStreamingSupported: true }])
    const { modelDetails } = await control.send(new GetFoundationModelCommand({ modelIdentifier: modelSummaries![0]!.modelArn }))
    expect(modelDetails).toMatchObject({ modelId: 'fake/model', modelLifecycle: { status: 'ACTIVE' } })
    await expect(control.send(new GetFoundationModelCommand({ modelIdentifier: 'none' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    })
  })
})

describe('ApplyGuardrail', () => {
  beforeAll(async () => {
    await control.send(new CreateGuardrailCommand({ ...GUARDRAIL, name: 'applied' }))
  })

  test('shows what it found and what to say instead', async () => {
    const input = { guardrailIdentifier: 'applied', guardrailVersion: 'DRAFT', source: 'INPUT', content: [{ text: { text: 'voodoo' } }] } as const
    const applied = await runtime.send(new ApplyGuardrailCommand({ ...input, content: [...input.content] }))
    expect(applied).toMatchObject({
      action: 'GUARDRAIL_INTERVENED',
      actionReason: 'Guardrail blocked.',
      outputs: [{ text: 'Not asked here.' }],
      assessments: [{ wordPolicy: { customWords: [{ match: 'voodoo', action: 'BLOCKED', detected: true }], managedWordLists: [] } }],
      usage: { wordPolicyUnits: 1 },
      guardrailCoverage: { textCharacters: { guarded: 6, total: 6 } },
    })
  })

  test('lets sound text pass', async () => {
    const content = [{ text: { text: 'good day', qualifiers: ['query' as const] } }]
    const applied = await runtime.send(
      new ApplyGuardrailCommand({ guardrailIdentifier: 'applied', guardrailVersion: 'DRAFT', source: 'OUTPUT', content }),
    )
    expect(applied).toMatchObject({ action: 'NONE', outputs: [] })
  })

  test('refuses images by their path', async () => {
    const content = [{ image: { format: 'png' as const, source: { bytes: new Uint8Array([1]) } } }]
    await expect(
      runtime.send(new ApplyGuardrailCommand({ guardrailIdentifier: 'applied', guardrailVersion: 'DRAFT', source: 'INPUT', content })),
    ).rejects.toMatchObject({ name: 'ValidationException', message: expect.stringContaining('content[0].image') as string })
  })
})

describe('a call with a guardrail', () => {
  const guardrailConfig = { guardrailIdentifier: 'gr1', guardrailVersion: '1', trace: 'enabled' as const }

  test('carries the choice and what is to be judged', async () => {
    const messages: ConverseCommandInput['messages'] = [
      { role: 'user', content: [{ text: 'free' }, { guardContent: { text: { text: 'judged', qualifiers: ['query'] } } }] },
    ]
    const { stream } = await runtime.send(
      new ConverseStreamCommand({ ...ASK, messages, guardrailConfig: { ...guardrailConfig, streamProcessingMode: 'async' } }),
    )
    await Array.fromAsync(stream!)
    expect(calls[0]!.options.guardrail).toEqual({
      guardrail: 'gr1',
      version: '1',
      trace: true,
      streaming: 'async',
      content: [{ text: 'judged', qualifiers: ['query'] }],
    })
    expect(calls[0]!.request.input).toMatchObject({ messages: [{ role: 'user', content: 'free\njudged' }] })
    expect(calls[0]!.principal).toBe(LOCAL_PRINCIPAL)
  })

  test('shows the trace in the shape of the service', async () => {
    trace = TRACE
    const answer = await runtime.send(new ConverseCommand({ ...ASK, guardrailConfig }))
    expect(answer.trace!.guardrail).toMatchObject({
      actionReason: 'Guardrail blocked.',
      inputAssessment: {
        gr1: {
          contentPolicy: { filters: [{ type: 'PROMPT_ATTACK', confidence: 'LOW', action: 'NONE', detected: true }] },
          invocationMetrics: { guardrailProcessingLatency: 3, usage: { contentPolicyUnits: 2 } },
        },
      },
      outputAssessments: {
        gr1: [
          {
            sensitiveInformationPolicy: { piiEntities: [{ match: 'a@b.c', type: 'EMAIL', action: 'ANONYMIZED' }], regexes: [] },
            contextualGroundingPolicy: { filters: [{ type: 'GROUNDING', threshold: 0.7, score: 0.2, action: 'BLOCKED' }] },
          },
        ],
      },
    })
    const { stream } = await runtime.send(new ConverseStreamCommand({ ...ASK, guardrailConfig }))
    const events = await Array.fromAsync(stream!)
    expect(events.at(-1)!.metadata!.trace).toEqual(answer.trace)
    trace = { ...TRACE, shown: false }
    expect((await runtime.send(new ConverseCommand(ASK))).trace).toBeUndefined()
  })

  test('says in a native body whether it stepped in', async () => {
    trace = TRACE
    const body = Buffer.from('{"prompt":"hi","max_gen_len":9}')
    const answer = await runtime.send(
      new InvokeModelCommand({ modelId: 'fake/model', body, guardrailIdentifier: 'gr1', guardrailVersion: '1', trace: 'ENABLED' }),
    )
    expect(JSON.parse(answer.body.transformToString())).toMatchObject({
      generation: 'Hello wörld 🦊',
      'amazon-bedrock-guardrailAction': 'INTERVENED',
      'amazon-bedrock-trace': { guardrail: { actionReason: 'Guardrail blocked.' } },
    })
    expect(calls[0]!.options.guardrail).toMatchObject({ guardrail: 'gr1', version: '1', trace: true })
  })

  test('must name both identifier and version', async () => {
    await expect(
      runtime.send(new ConverseCommand({ ...ASK, guardrailConfig: { guardrailIdentifier: 'gr1', guardrailVersion: undefined } })),
    ).rejects.toThrow('guardrailConfig.guardrailVersion is missing')
  })
})
