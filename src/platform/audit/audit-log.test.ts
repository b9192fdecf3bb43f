/** The audit log: whole after crashes and with two writers, broken by every change. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { selectAuditHead } from '#platform/store/audit-table'
import type { Store } from '#platform/store/open-store'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { type ChainVerdict, verifyChain } from './audit-chain.ts'
import { AuditLog, auditFileOf } from './audit-log.ts'
import { RefusalTally } from './refusal-tally.ts'

let dataDir: string
let store: Store
/** As another process has the same one. */
let other: Store
const clock = new FakeClock()

function openLog(): AuditLog {
  return new AuditLog({ store, dataDir, clock, onWriteFailure: () => {}, onDamage: () => {} })
}

function read(): string[] {
  return readFileSync(auditFileOf(dataDir), 'utf8').trimEnd().split('\n')
}

async function verdict(lines = read()): Promise<ChainVerdict> {
  return verifyChain(lines, await selectAuditHead(store.db))
}

async function writeLines(count: number): Promise<void> {
  const log = openLog()
  for (let index = 0; index < count; index++) log.record({ event: 'key.create', actor: 'test', details: { index } })
  await log.close()
}

onEachStore(({ open, openTwice }) => {
  beforeEach(async () => {
    dataDir = mkdtempSync(path.join(tmpdir(), 'inferd-audit-'))
    ;[store, other] = await openTwice()
  })

  afterEach(() => rmSync(dataDir, { recursive: true }))

  test('every line follows the one before it, also from two writers at a time', async () => {
    const logs = [openLog(), new AuditLog({ store: other, dataDir, clock, onWriteFailure: () => {}, onDamage: () => {} })]
    for (let round = 0; round < 20; round++) {
      for (const [index, log] of logs.entries()) log.record({ event: 'key.create', actor: `writer ${index}`, details: { round } })
      await Promise.all(logs.map((log) => log.flush()))
    }
    await Promise.all(logs.map((log) => log.close()))
    expect(await verdict()).toEqual({ isWhole: true, numLines: 40 })
    expect(statSync(auditFileOf(dataDir)).mode & 0o777).toBe(0o600)
  })

  test('a changed, removed, added or moved line, and a missing end, are found at their place', async () => {
    await writeLines(5)
    const lines = read()
    const cases: readonly (readonly [readonly string[], number])[] = [
      [lines.with(2, lines[2]!.replace('"index":2', '"index":7')), 3],
      [lines.toSpliced(1, 1), 2],
      [lines.toSpliced(3, 0, lines[3]!), 5],
      [[lines[1]!, lines[0]!, ...lines.slice(2)], 1],
      [lines.slice(0, 4), 5],
      [[], 1],
      [lines.with(4, lines[4]!.slice(0, -10)), 5],
    ]
    expect(await verdict()).toEqual({ isWhole: true, numLines: 5 })
    for (const [changed, lineNumber] of cases) expect(await verdict([...changed])).toMatchObject({ isWhole: false, lineNumber })
  })

  test('a log that was written anew is not the one that the store remembers', async () => {
    await writeLines(3)
    const forged = mkdtempSync(path.join(tmpdir(), 'inferd-forged-'))
    const forgedStore = await open()
    const log = new AuditLog({ store: forgedStore, dataDir: forged, clock, onWriteFailure: () => {}, onDamage: () => {} })
    for (let index = 0; index < 3; index++) log.record({ event: 'nothing', actor: 'test', details: {} })
    await log.close()
    const lines = readFileSync(auditFileOf(forged), 'utf8').trimEnd().split('\n')
    rmSync(forged, { recursive: true })
    expect(await verdict(lines)).toMatchObject({ isWhole: false, lineNumber: 3, problem: expect.stringContaining('written anew') })
  })

  test('lines of a writer that was killed before the store knew of them are continued', async () => {
    await writeLines(2)
    const before = await selectAuditHead(store.db)
    await writeLines(2)
    await store.db.updateTable('audit_head').set(before).where('id', '=', 1).execute()
    await writeLines(1)
    expect(await verdict()).toEqual({ isWhole: true, numLines: 5 })
  })

  test('a torn last line stays visible as damage and does not swallow the next one', async () => {
    await writeLines(1)
    appendFileSync(auditFileOf(dataDir), '{"sequence":2,"ti')
    await writeLines(1)
    expect(read()).toHaveLength(3)
    expect(await verdict()).toMatchObject({ isWhole: false, lineNumber: 2 })
  })

  test('words of strangers cannot begin a line of their own', async () => {
    const log = openLog()
    log.record({ event: 'login.failed', actor: '1.2.3.4\n{"sequence":9}', details: { key: '\u2028\r\n' } })
    await log.close()
    expect(read()).toHaveLength(1)
    expect(await verdict()).toEqual({ isWhole: true, numLines: 1 })
  })

  test('what cannot be written waits and is written later', async () => {
    const failures: unknown[] = []
    const log = new AuditLog({
      store,
      dataDir: path.join(dataDir, 'later'),
      clock,
      onWriteFailure: (error) => failures.push(error),
      onDamage: () => {},
    })
    log.record({ event: 'key.create', actor: 'test', details: {} })
    await expect(log.flush()).rejects.toThrow('ENOENT')
    mkdirSync(path.join(dataDir, 'later'))
    await log.close()
    expect(readFileSync(auditFileOf(path.join(dataDir, 'later')), 'utf8')).toContain('key.create')
  })

  test('a flood of refusals is one line of each kind a minute', async () => {
    const log = openLog()
    const tally = new RefusalTally(log, clock)
    for (let index = 0; index < 500; index++) tally.note({ event: 'login.failed', actor: '1.2.3.4', details: { reason: 'invalid_credentials' } })
    for (let index = 0; index < 3000; index++) tally.note({ event: 'login.failed', actor: `10.0.${index >> 8}.${index & 255}`, details: {} })
    await tally.close()
    await log.close()
    const lines = read().map((line) => JSON.parse(line) as { actor: string; details: { count: number } })
    expect(lines).toHaveLength(1001)
    expect(lines[0]).toMatchObject({ actor: '1.2.3.4', details: { count: 500 } })
    expect(lines.find(({ actor }) => actor === 'others')?.details.count).toBe(2001)
  })
})
