/**
 * Bad input 107 and 108 of the reliability study on real disks: one that is full is a refusal and heals by itself; one that fails ends the
 * server, with an exit code, and the next start has what was acknowledged. The kernel fails writes by a limit on the length of files, which
 * is to SQLite what EIO is. What fails a sync is in tests/simulation/object-folder.test.ts.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sql } from 'kysely'
import { afterAll, expect, test } from 'vitest'
import type { InferdError } from '#contract/errors'
import { openStore } from '#platform/store/open-store'
import { InferdProcess } from './inferd-process.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-disk-'))
const mounts = ['8m', '40m'].map((size) => path.join(folder, size))
const [small = '', large = ''] = mounts
const HAS_LIMITS = spawnSync('prlimit', ['--version']).status === 0
const HAS_MOUNT = process.platform === 'linux' && mounts.every(mount)
/** Longer than the drain of a server whose disk failed. */
const END_MS = 30_000
/** A page and its header. */
const LOG_PAGE_BYTES = 4096 + 24

afterAll(() => {
  for (const each of mounts) spawnSync('umount', ['-l', each])
  rmSync(folder, { recursive: true, force: true })
})

interface Acceptance {
  readonly status: number
  readonly id: string
  readonly text: string
}

/** An asynchronous invocation of a model that is not called before the test ends, if ever. */
async function submit({ baseUrl }: InferdProcess, numBytes = 100): Promise<Acceptance> {
  const body = `{"inputs":"Hello",${' '.repeat(numBytes)}"parameters":{"max_new_tokens":1}}`
  const response = await fetch(`${baseUrl}/endpoints/inferd-chat/async`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  const text = await response.text()
  return { status: response.status, id: response.status === 202 ? (JSON.parse(text) as { id: string }).id : '', text }
}

const start = async (dataDir: string, ...more: readonly string[]): Promise<InferdProcess> =>
  (await InferdProcess.start('--data-dir', dataDir, '--log-level', 'error', '--drain-s', '60', ...more)).ready()

test.runIf(HAS_LIMITS)(
  `108: a disk that fails a write of the store ends the server with an exit code, and what was acknowledged is there afterwards${HAS_LIMITS ? '' : ' (no prlimit here)'}`,
  async () => {
    const dataDir = path.join(folder, 'failing')
    await using server = await start(dataDir)
    const accepted = [await submit(server), await submit(server)]
    expect(accepted.map(({ status }) => status)).toEqual([202, 202])
    spawnSync('prlimit', ['--pid', String(server.pid), '--fsize=1024:1024'])
    const failedMs = performance.now()
    const after = await submit(server).catch(() => null)
    if (after !== null) expect([after.status, after.text]).toEqual([expect.toBeOneOf([503, 530]), expect.stringMatching(/store|shutting down/)])
    expect(await server.exited()).toBe(1)
    expect(performance.now() - failedMs).toBeLessThan(END_MS)
    expect(server.log).toMatch(/inferd: the disk of the store failed \(disk I\/O error\): look at it, and start inferd again\n$/)
    await using again = await start(dataDir)
    for (const { id } of accepted) {
      const state = async (): Promise<unknown> => ((await (await fetch(`${again.baseUrl}/async/${id}`)).json()) as { state: string }).state
      await expect.poll(state, { timeout: 20_000 }).toBe('succeeded')
    }
  },
  60_000,
)

test.runIf(HAS_MOUNT)(
  `107: a full disk is refused in words while calls are answered, and room is used again without a restart${HAS_MOUNT ? '' : ' (may not mount here)'}`,
  async () => {
    await using server = await start(path.join(small, 'data'), '--disk-reserve-mib', '0')
    const accepted: Acceptance[] = []
    const refused: Acceptance[] = []
    const note = (each: Acceptance): unknown => (each.status === 202 ? accepted : refused).push(each)
    note(await submit(server))
    const ballast = fillUp(small, 0)
    for (let count = 0; refused.length < 20; count++) note(await submit(server, 20_000))
    for (const { status, text } of refused) expect([status, text]).toEqual([530, expect.stringMatching(/store failed|disk is full/)])
    const kept = { model: 'inferd-chat', input: 'Hello '.repeat(200), max_output_tokens: 1, store: true }
    const answers = await Promise.all(Array.from({ length: 30 }, () => server.post('/v1/responses', kept)))
    expect(answers.map(({ status }) => status)).toContain(503)
    for (const answer of answers) if (answer.status !== 200) expect(await answer.text()).toContain('the store failed')
    expect((await fetch(`${server.baseUrl}/readyz`)).status).toBe(200)
    const chat = { model: 'inferd-chat', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 1 }
    expect((await server.post('/v1/chat/completions', chat)).status).toBe(200)
    rmSync(ballast)
    const healed = await submit(server, 20_000)
    expect(healed.status, healed.text).toBe(202)
    for (const { id } of [...accepted, healed]) {
      const state = async (): Promise<unknown> => ((await (await fetch(`${server.baseUrl}/async/${id}`)).json()) as { state: string }).state
      await expect.poll(state, { timeout: 20_000 }).toMatch(/succeeded|failed/)
    }
    const outcomes = readdirSync(path.join(small, 'data/objects/inferd-local/async/output'))
    expect(outcomes.map((name) => name.split('.')[0]).toSorted()).toEqual([...accepted, healed].map(({ id }) => id).toSorted())
    server.child.kill('SIGTERM')
    expect(await server.exited()).toBe(0)
  },
  60_000,
)

test.runIf(HAS_MOUNT)(
  '107: before the disk is full nothing new is accepted, and what was accepted ends',
  async () => {
    await using server = await start(path.join(small, 'reserve'))
    const { blocks, bsize } = statfsSync(small)
    const accepted = await submit(server)
    expect(accepted.status, accepted.text).toBe(202)
    const ballast = fillUp(small, (blocks * bsize) / 20)
    await expect.poll(async () => (await submit(server)).text, { timeout: 10_000 }).toMatch(/MiB free, and nothing new is accepted below/)
    const refused = await server.post('/endpoints/inferd-chat/async', { messages: [{ role: 'user', content: 'Hi' }] })
    expect([refused.status, Number(refused.headers.get('retry-after'))]).toEqual([(await submit(server)).status, 10])
    const form = new FormData()
    form.set('purpose', 'batch')
    form.set('file', new Blob(['{}']), 'lines.jsonl')
    const upload = await fetch(`${server.baseUrl}/v1/files`, { method: 'POST', body: form })
    expect([upload.status, await upload.text()]).toEqual([503, expect.stringContaining('nothing new is accepted')])
    const state = async (): Promise<unknown> => ((await (await fetch(`${server.baseUrl}/async/${accepted.id}`)).json()) as { state: string }).state
    await expect.poll(state, { timeout: 20_000 }).toBe('succeeded')
    rmSync(ballast)
    await expect.poll(async () => (await submit(server)).status, { timeout: 10_000 }).toBe(202)
  },
  60_000,
)

test.runIf(HAS_MOUNT)(
  '107: wherever in a transaction the disk is full, also in the index of the log, the store goes on when there is room',
  async () => {
    const reasons: unknown[] = []
    const failures = new Set<unknown>()
    const store = await openStore({ file: path.join(large, 'store.sqlite') }, (reason) => reasons.push(reason))
    await sql`create table word (word text not null)`.execute(store.db)
    const add = (): Promise<void> =>
      store.db.transaction().execute(async (step) => {
        for (let row = 0; row < 32; row++) await sql`insert into word values (${'x'.repeat(800_000)})`.execute(step)
      })
    for (let numPages = -8; numPages < 8; numPages += 2) {
      await sql`pragma wal_checkpoint(truncate)`.execute(store.db)
      // The index grows by eight pages at a time, the first time behind 4,062 pages of the log.
      const ballast = fillUp(large, (4062 + numPages) * LOG_PAGE_BYTES)
      await add().catch((error: InferdError) => failures.add(error.cause))
      rmSync(ballast)
      await sql`insert into word values ('after')`.execute(store.db)
    }
    expect(failures).toEqual(new Set(['database or disk is full', 'disk I/O error']))
    expect((await sql<{ n: number }>`select count(*) as n from word`.execute(store.db)).rows).toEqual([{ n: 8 }])
    expect(reasons).toEqual([])
    await store.close()
  },
)

function mount(at: string): boolean {
  mkdirSync(at)
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${path.basename(at)}`, 'inferd-test', at]).status === 0
}

/** All but so many bytes; the file to be removed. */
function fillUp(disk: string, numFreeBytes: number): string {
  const file = path.join(disk, 'ballast')
  const { bavail, bsize } = statfsSync(disk)
  try {
    writeFileSync(file, Buffer.alloc(Math.max(0, bavail * bsize - numFreeBytes)))
  } catch (error) {
    // Somebody else has written meanwhile: it is as full as it can be.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
  }
  return file
}
