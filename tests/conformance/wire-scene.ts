/** The server of a fixture: nothing in it depends on the time, on chance or on what ran before. */
import { type Clock, systemClock } from '#base/clock'
import type { CallReport } from '#contract/call'
import type { FileShelf, StoredFile } from '#contract/stored-file'
import { InferdError } from '#contract/errors'
import type { CredentialIssuer } from '#contract/temporary-credentials'
import type { UsageReports } from '#contract/usage-record'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { DEFAULT_BACKGROUND_RUN_OPTIONS, DetachedRuns } from '#platform/context/background-runs'
import { StoredResponses } from '#platform/context/response-archive'
import { directModels, type OnlineModels } from '#platform/online/online-models'
import { openStore } from '#platform/store/open-store'
import { FIXED_COMPARISON, fixedDeclarations, fixedDeployments, fixedScaling } from './fake-deployments.ts'
import { FIXED_PLAN, fixedProvisioned } from './fake-provisioned.ts'
import { FakeGuardrails } from './fake-guardrails.ts'
import { FakeInvocations } from './fake-invocations.ts'
import { FakeJobs, FakeObjects } from './fake-jobs.ts'
import { directoryOf, FakeModel } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

export interface WireScene {
  readonly target: TestServer
  stop(): Promise<void>
}

const WALL_MS = 1_700_000_000_000
const BODY_LIMIT_BYTES = 4096
/** Stands still; deadlines wait as long as ever. */
const fixedClock: Clock = { nowMs: () => 0, wallMs: () => WALL_MS, sleep: (durationMs, signal) => systemClock.sleep(durationMs, signal) }

/** `keepsThings`: with a store for responses, files, guardrails and usage. A caller without the key `sk-wire` is refused where there is one. */
export async function startScene({ keepsThings }: { readonly keepsThings: boolean }): Promise<WireScene> {
  const model = new FakeModel({ name: 'tiny' })
  const store = keepsThings ? await openStore({ file: null }) : null
  const runs = new DetachedRuns({ ...DEFAULT_BACKGROUND_RUN_OPTIONS, clock: fixedClock })
  const target = await startTestServer({
    model,
    clock: fixedClock,
    options: { bodyLimitBytes: BODY_LIMIT_BYTES, maxHeaderBytes: 2048, version: '0.0.0' },
    online: guarded(directModels(directoryOf(model))),
    authenticate: async ({ headers }) => {
      if (headers['x-wire-door'] === 'no-key') throw new InferdError('unauthenticated', 'give a key')
      return LOCAL_PRINCIPAL
    },
    services: {
      guardrails: new FakeGuardrails(),
      usage: fixedUsage,
      metrics: { contentType: 'text/plain; version=0.0.4; charset=utf-8', text: async () => '# TYPE inferd_requests counter\ninferd_requests 3\n' },
      files: new MemoryShelf(),
      credentials: fixedCredentials,
      jobs: new FakeJobs(WALL_MS),
      objects: new FakeObjects(),
      invocations: new FakeInvocations(),
      deployments: fixedDeployments,
      tags: null,
      scaling: fixedScaling,
      declarations: fixedDeclarations,
      provisioned: fixedProvisioned,
      plans: { plans: async () => [FIXED_PLAN] },
      comparisons: { compare: async () => FIXED_COMPARISON },
      captures: null,
      responses: store === null ? null : new StoredResponses({ store, clock: fixedClock, retentionMs: 86_400_000 }),
      background: store === null ? null : runs,
    },
  })
  const stop = async (): Promise<void> => {
    await target.server.close({ graceMs: 0 })
    await runs.close()
    await store?.close()
  }
  return { target, stop }
}

/** A model that is filtered was so by a guardrail, which is reported. */
function guarded(direct: OnlineModels): OnlineModels {
  return {
    ...direct,
    async *generate(call, signal) {
      if (call.options.guardrail !== null) reportBlock(call.report)
      yield* direct.generate(call, signal)
    },
  }
}

function reportBlock(report: CallReport): void {
  const finding = { policy: 'word', rule: 'voodoo', action: 'block', match: 'voodoo', start: 0, end: 6 } as const
  const unscored = { score: null, threshold: null, confidence: null }
  const assessments = [{ direction: 'output', findings: [{ ...finding, ...unscored }], judgedCharacters: 14, latencyMs: 1 }] as const
  report.guardrail = { guardrailId: 'gr1', version: '1', intervened: true, shown: true, assessments }
}

const fixedUsage: UsageReports = {
  totals: async (_filter, groupBy) => [
    {
      group: Object.fromEntries(groupBy.map((key) => [key, key === 'day' ? '2023-11-14' : 'tiny'])),
      numRequests: 3,
      numErrors: 1,
      inputTokens: 21,
      cachedTokens: 6,
      cacheWriteTokens: 9,
      outputTokens: 12,
      reasoningTokens: 4,
      billedMs: 1234.4,
      cost: 1_234_567_890n,
    },
  ],
}

const fixedCredentials: CredentialIssuer = {
  issue: async (_keyId, durationS) => ({
    accessKeyId: 'ASIA0000000000000000',
    secretAccessKey: 'secret',
    sessionToken: 'inferd_st_token',
    expiresMs: WALL_MS + 1000 * durationS,
  }),
}

/** Files in memory under ids that count. */
class MemoryShelf implements FileShelf {
  readonly maxFileBytes = BODY_LIMIT_BYTES
  private readonly files = new Map<string, { readonly file: StoredFile; readonly bytes: Buffer }>()
  private numIds = 0

  receive(team: string): ReturnType<FileShelf['receive']> {
    return this.receiveResult(team, `file-${++this.numIds}`)
  }

  async receiveResult(team: string, id: string): ReturnType<FileShelf['receiveResult']> {
    const pieces: Uint8Array[] = []
    return {
      write: async (chunk) => void pieces.push(chunk),
      commit: async ({ filename, purpose, expiresAfterS }) => {
        const bytes = Buffer.concat(pieces)
        const expiresMs = expiresAfterS === null ? null : WALL_MS + 1000 * expiresAfterS
        const file = { id, team, filename, purpose, numBytes: bytes.length, sha256: '00', createdMs: WALL_MS, expiresMs }
        this.files.set(id, { file, bytes })
        return file
      },
      abandon: async () => {},
    }
  }

  async get(_team: string, id: string): Promise<StoredFile | null> {
    return this.files.get(id)?.file ?? null
  }

  async list(): Promise<readonly StoredFile[]> {
    return [...this.files.values()].map(({ file }) => file).toReversed()
  }

  async *read({ id }: StoredFile): AsyncGenerator<Uint8Array> {
    yield this.files.get(id)?.bytes ?? Buffer.alloc(0)
  }

  async delete(_team: string, id: string): Promise<boolean> {
    return this.files.delete(id)
  }
}
