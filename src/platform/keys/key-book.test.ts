/** Keys on the disk: what is in the store and what is not, who may read it, and two programs on one file. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { NO_LIMITS } from '#contract/principal'
import { openStore, type Store } from '#platform/store/open-store'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { KeyBook, type NewKey } from './key-book.ts'
import type { KeyTerms } from './key-record.ts'
import { KeyRing } from './key-ring.ts'
import { bearerKeyId, isBearerOf } from './key-token.ts'
import { loadMasterKey } from './master-key.ts'
import { seal, unseal } from './seal.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-key-book-'))
afterAll(() => rmSync(folder, { recursive: true }))

const TERMS: KeyTerms = { name: 'n', team: 'red', scopes: ['inference', 'read'], models: ['m'], limits: NO_LIMITS, expiresMs: null }

function openBook(store: Store, clock = new FakeClock()) {
  const events: string[] = []
  const audit = { record: ({ event }: { readonly event: string }) => void events.push(event) }
  return { store, events, clock, keys: new KeyBook({ store, audit, masterKey: () => loadMasterKey(folder), clock, actor: 'test' }) }
}

type Book = ReturnType<typeof openBook>

function secretOf(key: NewKey): string {
  return key.kind === 'bearer' ? key.token : key.secret
}

test('neither a key nor a signing secret is anywhere in the files of the store', async () => {
  const file = path.join(folder, 'hidden.sqlite')
  const store = await openStore({ file })
  const { keys } = openBook(store)
  const made = [await keys.create('bearer', TERMS), await keys.create('signing', TERMS)]
  const bytes = Buffer.concat([readFileSync(file), readFileSync(`${file}-wal`)]).toString('latin1')
  for (const key of made) {
    expect(bytes).toContain(key.id)
    expect(bytes).not.toContain(secretOf(key).slice(-43))
  }
  await store.close()
})

test('a sealed secret opens with its master key, for its key, unchanged', () => {
  const [one, two] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const sealed = seal(one, 'A', 'secret')
  expect(unseal(one, 'A', sealed)).toBe('secret')
  expect(seal(one, 'A', 'secret')).not.toBe(sealed)
  const spoilt = Buffer.from(sealed, 'base64')
  spoilt[spoilt.length - 1]! ^= 1
  for (const [key, id, text] of [
    [two, 'A', sealed],
    [one, 'B', sealed],
    [one, 'A', spoilt.toString('base64')],
    [one, 'A', ''],
  ] as const) {
    expect(() => unseal(key, id, text)).toThrow('does not open with the master key')
  }
})

test('the master key is made once, for its owner only, and refused when others can read it or when it is damaged', () => {
  const dataDir = mkdtempSync(path.join(folder, 'master-'))
  const file = path.join(dataDir, 'master.key')
  const key = loadMasterKey(dataDir)
  expect(key).toHaveLength(32)
  expect(loadMasterKey(dataDir)).toEqual(key)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  chmodSync(file, 0o644)
  expect(() => loadMasterKey(dataDir)).toThrow('can be read by others (mode 644)')
  chmodSync(file, 0o600)
  writeFileSync(file, 'short')
  expect(() => loadMasterKey(dataDir)).toThrow('must hold 32 bytes, it has 5')
})

onEachStore(({ open, openTwice }) => {
  test('keys have 256 random bits behind a prefix that scanners find', async () => {
    const { keys } = openBook(await open())
    const bearer = await keys.create('bearer', TERMS)
    expect(secretOf(bearer)).toMatch(/^inferd_sk_[A-Za-z0-9]{16}_[A-Za-z0-9]{43}$/)
    expect(bearerKeyId(secretOf(bearer))).toBe(bearer.id)
    expect((await keys.create('signing', TERMS)).id).toMatch(/^INFERDAK[A-Z0-9]{12}$/)
    expect(isBearerOf(secretOf(bearer), null)).toBe(false)
  })

  test('a program that revokes a key ends it in a running server, on the one store that both have open', async () => {
    const [server, program] = (await openTwice()).map((store) => openBook(store)) as [Book, Book]
    const ring = new KeyRing({ store: server.store, clock: server.clock, onWriteFailure: () => {} })
    expect(await ring.hasKeys()).toBe(false)
    const { id } = await program.keys.create('bearer', TERMS)
    await server.clock.advance(5000)
    expect(await ring.hasKeys()).toBe(true)
    expect((await ring.find(id))?.record).toMatchObject({ revokedMs: null, principal: { keyId: id, team: 'red', models: ['m'] } })
    await program.keys.revoke(id)
    await program.keys.setTeamLimits('red', { requestsPerMinute: 7 })
    await server.clock.advance(5000)
    expect((await ring.find(id))?.record).toMatchObject({ revokedMs: expect.any(Number), principal: { teamLimits: { requestsPerMinute: 7 } } })
    ring.noteUse(id)
    await ring.close()
    expect((await program.keys.get(id)).lastUsedMs).toBe(server.clock.wallMs())
  })

  test('guesses are not kept: a ring holds only keys that exist', async () => {
    const { store, keys, clock } = openBook(await open())
    const ring = new KeyRing({ store, clock, onWriteFailure: () => {} })
    for (let index = 0; index < 100; index++) expect(await ring.find(`guess-${index}' OR 1=1 --`)).toBeNull()
    expect(ring.isKnown('guess-1')).toBe(false)
    const { id } = await keys.create('bearer', TERMS)
    expect(await ring.find(id)).not.toBeNull()
    expect(ring.isKnown(id)).toBe(true)
    await ring.close()
  })

  test('a rotated key has a successor with its terms and lives on for the overlap only', async () => {
    const { keys, clock, events } = openBook(await open())
    const old = await keys.create('signing', TERMS)
    const next = await keys.rotate(old.id, 60_000)
    expect(await keys.get(next.id)).toMatchObject({ kind: 'signing', team: 'red', scopes: ['inference', 'read'], expiresMs: null })
    expect((await keys.get(old.id)).expiresMs).toBe(clock.wallMs() + 60_000)
    await clock.advance(60_000)
    await expect(keys.rotate(old.id, 0)).rejects.toMatchObject({ code: 'conflict' })
    await keys.revoke(next.id)
    await expect(keys.revoke(next.id)).rejects.toMatchObject({ code: 'conflict' })
    await expect(keys.revoke('nobody')).rejects.toMatchObject({ code: 'resource_not_found' })
    expect(events).toEqual(['key.create', 'key.rotate', 'key.revoke'])
  })

  test('a session leaves no row, ends with its key at the latest, and is in the audit log without its secret', async () => {
    const { keys, clock, events } = openBook(await open())
    const endMs = clock.wallMs() + 1_000_000
    const [lasting, ending] = [await keys.create('signing', TERMS), await keys.create('signing', { ...TERMS, expiresMs: endMs })]
    expect((await keys.issue(lasting.id, 3600)).expiresMs).toBe(clock.wallMs() + 3_600_000)
    expect((await keys.issue(ending.id, 3600)).expiresMs).toBe(endMs)
    expect(await keys.list()).toHaveLength(2)
    const bearer = await keys.create('bearer', TERMS)
    await expect(keys.issue(bearer.id, 900)).rejects.toThrow('is no signing key')
    await expect(keys.issue('local', 900)).rejects.toMatchObject({ code: 'resource_not_found' })
    await clock.advance(1_000_000)
    await expect(keys.issue(ending.id, 900)).rejects.toMatchObject({ code: 'conflict' })
    expect(events.filter((event) => event === 'session.create')).toHaveLength(2)
  })
})
