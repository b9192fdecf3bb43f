/** PostgreSQL as it can be: away, stuck, full, careless, a stranger. Every wait ends, and the store comes back by itself. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { onPostgres, postgresOptions } from '../../../tests/stores/each-store.ts'
import { query, startPostgres } from '../../../tests/stores/postgres-server.ts'
import { openStore, type Store } from './open-store.ts'

const SHORT = { connectMs: 1000, statementMs: 1000, lockMs: 300, graceMs: 500 }

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-pg-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function openShort(url: string, maxSessions = 4, deadlines = SHORT): Promise<Store> {
  const { postgres } = postgresOptions(url, maxSessions)
  return openStore({ postgres: { ...postgres, deadlines } })
}

const addWord = (store: Store, word: string): Promise<unknown> => sql`insert into word values (${word})`.execute(store.db)

/** `make -> error` of an attempt that must fail. */
async function failureOf(work: Promise<unknown>): Promise<InferdError> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (error instanceof InferdError) return error
  throw new Error(`not an error of ours: ${String(error)}`)
}

onPostgres((server) => {
  test('killed and started again under load: nothing acknowledged is lost, what fails says so, and it goes on by itself', async () => {
    const store = await openShort(await server().makeDatabase())
    await sql`create table word (word text primary key)`.execute(store.db)
    const acknowledged: string[] = []
    const refused = new Set<string>()
    let numRefused = 0
    const stop = new AbortController()
    const writer = async (name: number): Promise<void> => {
      for (let index = 0; !stop.signal.aborted; index++) {
        const word = `${name}-${index}`
        try {
          if (index % 2 === 0) await addWord(store, word)
          else await store.db.transaction().execute(async (step) => void (await sql`insert into word values (${word})`.execute(step)))
          acknowledged.push(word)
        } catch (error) {
          numRefused++
          refused.add(error instanceof InferdError ? error.code : String(error))
          await sleep(20)
        }
      }
    }
    const writers = Array.from({ length: 8 }, (_, name) => writer(name))
    for (let round = 0; round < 5; round++) {
      const [before, refusedBefore] = [acknowledged.length, numRefused]
      await expect.poll(() => acknowledged.length, { timeout: 20_000, interval: 10 }).toBeGreaterThan(before + 20)
      await server().crash()
      await expect.poll(() => numRefused, { timeout: 20_000, interval: 10 }).toBeGreaterThan(refusedBefore + 8)
      await server().start()
    }
    const last = acknowledged.length
    await expect.poll(() => acknowledged.length, { timeout: 20_000, interval: 10 }).toBeGreaterThan(last + 20)
    stop.abort()
    await Promise.all(writers)
    expect([...refused].filter((code) => code !== 'store_failed' && code !== 'overloaded')).toEqual([])
    const { rows } = await sql<{ word: string }>`select word from word`.execute(store.db)
    const kept = new Set(rows.map(({ word }) => word))
    expect(acknowledged.filter((word) => !kept.has(word))).toEqual([])
    await store.close()
  })

  test('a server that holds still fails what waits for it within its deadline, and answers again when it goes on', async () => {
    const store = await openShort(await server().makeDatabase())
    await sql`create table word (word text primary key)`.execute(store.db)
    server().pause(true)
    try {
      const failures = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((word) => failureOf(addWord(store, word))))
      expect(failures.every(({ code }) => code === 'store_failed' || code === 'overloaded')).toBe(true)
    } finally {
      server().pause(false)
    }
    await expect
      .poll(
        () =>
          addWord(store, 'z').then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true)
    await store.close()
  })

  test('when all sessions are busy for too long, one more is refused as overloaded', async () => {
    const store = await openShort(await server().makeDatabase(), 2, { ...SHORT, statementMs: 20_000 })
    const gate = Promise.withResolvers<void>()
    const hold = (): Promise<void> =>
      store.db.transaction().execute(async (step) => {
        await sql`select 1`.execute(step)
        await gate.promise
      })
    const holders = [hold(), hold()]
    expect(await failureOf(sql`select 1`.execute(store.db))).toMatchObject({ code: 'overloaded', retryAfterMs: 1000 })
    gate.resolve()
    await Promise.all(holders)
    await sql`select 1`.execute(store.db)
    await store.close()
  })

  test('a statement and the wait for a lock end at their deadlines, and the session is good for the next one', async () => {
    const store = await openShort(await server().makeDatabase(), 2)
    expect(await failureOf(sql`select pg_sleep(20)`.execute(store.db))).toMatchObject({ code: 'store_failed', message: 'the store took too long' })
    await sql`create table word (word text primary key)`.execute(store.db)
    await addWord(store, 'a')
    await store.db.transaction().execute(async (step) => {
      await sql`update word set word = 'b'`.execute(step)
      expect((await failureOf(sql`update word set word = 'c'`.execute(store.db))).code).toBe('store_failed')
    })
    expect((await sql`select word from word`.execute(store.db)).rows).toEqual([{ word: 'b' }])
    await store.close()
  })

  test('a transaction in which nothing happens is ended by the server, and its session is not lent again', async () => {
    const store = await openShort(await server().makeDatabase(), 2)
    await sql`create table word (word text primary key)`.execute(store.db)
    const idle = store.db.transaction().execute(async (step) => {
      await sql`insert into word values ('a')`.execute(step)
      await sleep(1500)
      await sql`insert into word values ('b')`.execute(step)
    })
    expect((await failureOf(idle)).code).toBe('store_failed')
    for (let index = 0; index < 4; index++) await addWord(store, `${index}`)
    const { rows } = await sql<{ word: string }>`select word from word order by word`.execute(store.db)
    expect(rows.map(({ word }) => word).join('')).toBe('0123')
    await store.close()
  })

  test('a transaction that passes over an error is not taken for written', async () => {
    const store = await openShort(await server().makeDatabase())
    await sql`create table word (word text primary key)`.execute(store.db)
    await addWord(store, 'a')
    const careless = store.db.transaction().execute(async (step) => {
      await sql`insert into word values ('b')`.execute(step)
      await sql`insert into word values ('a')`.execute(step).catch(() => {})
    })
    expect(await failureOf(careless)).toMatchObject({ code: 'store_failed', message: 'the store rolled a transaction back' })
    expect((await sql`select word from word`.execute(store.db)).rows).toEqual([{ word: 'a' }])
    await store.close()
  })

  test('two gateways that start at one moment on an empty database migrate it once', async () => {
    for (let round = 0; round < 3; round++) {
      const url = await server().makeDatabase()
      const stores = await Promise.all(Array.from({ length: 4 }, () => openStore(postgresOptions(url, 2))))
      const counts = await query(url, 'select count(*)::int as steps, count(distinct number)::int as numbers from migration')
      expect(counts[0]!['steps']).toBe(counts[0]!['numbers'])
      await Promise.all(stores.map((store) => store.close()))
    }
  })

  test('closing waits for what was asked before, and leaves no connection behind', async () => {
    const url = await server().makeDatabase()
    const store = await openStore(postgresOptions(url, 1))
    const asked = Array.from({ length: 5 }, (_, index) => sql<{ n: number }>`select ${index}::int as n, pg_sleep(0.02)`.execute(store.db))
    await sleep(5)
    await store.close()
    expect((await Promise.all(asked)).map(({ rows }) => rows[0]!.n)).toEqual([0, 1, 2, 3, 4])
    const left = await query(
      url,
      `select count(*)::int as n from pg_stat_activity where application_name = 'inferd' and datname = current_database()`,
    )
    expect(left[0]!['n']).toBe(0)
  })

  test('commits are written before they are answered even where the server says otherwise; a database in another encoding is refused', async () => {
    const url = await server().makeDatabase()
    await query(url, `alter role inferd set synchronous_commit = off`)
    const store = await openStore(postgresOptions(url))
    expect((await sql`show synchronous_commit`.execute(store.db)).rows).toEqual([{ synchronous_commit: 'on' }])
    await store.close()
    await query(url, `alter role inferd reset synchronous_commit`)
    await query(url, `create database latin encoding 'LATIN1' locale 'C' template template0`)
    await expect(openStore(postgresOptions(url.replace(/[^/]+$/, 'latin')))).rejects.toThrow(
      `keeps this database in LATIN1: make it with encoding 'UTF8'`,
    )
  })

  test('a store that cannot be opened says where and why, and not with which password', async () => {
    const { port } = server()
    const away = await failureOf(openStore(postgresOptions('postgres://app:hunter2@127.0.0.1:1/prod')))
    expect(away.message).toMatch(/^the store at 127\.0\.0\.1:1, database prod, cannot be opened: connect ECONNREFUSED/)
    const none = await failureOf(openStore(postgresOptions(`postgres://inferd:hunter2@127.0.0.1:${port}/nowhere`)))
    expect(none.message).toContain('database "nowhere" does not exist')
    const errors = [away, none].map((error) => `${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`).join()
    expect(errors).not.toContain('hunter2')
  })

  test('a server that does not sync is refused', async () => {
    await using careless = await startPostgres({ settings: ['fsync=off'] })
    await expect(openStore(postgresOptions(await careless.makeDatabase()))).rejects.toThrow('runs with fsync = off')
  })

  test('a password is needed and given; TLS is used when asked for, with a certificate of that name when it must be', async () => {
    const [key, certificate] = ['server.key', 'server.crt'].map((name) => path.join(folder, name))
    const request = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=localhost',
      '-addext',
      'subjectAltName=DNS:localhost',
    ]
    execFileSync('openssl', [...request, '-keyout', key!, '-out', certificate!], { stdio: 'pipe' })
    const [keyText, certificateText] = [readFileSync(key!, 'utf8'), readFileSync(certificate!, 'utf8')]
    await using strict = await startPostgres({
      access: ['hostssl all app 127.0.0.1/32 scram-sha-256', 'host all app 127.0.0.1/32 reject'],
      tls: { certificate: certificateText, key: keyText },
    })
    const url = await strict.makeDatabase()
    await query(url, `create role app login superuser password 'p@ss word'`)
    const as = (password: string, host: string, rest: string): string => url.replace('inferd@127.0.0.1', `app:${password}@${host}`) + rest
    const good = 'p%40ss%20word'
    for (const [address, problem] of [
      [as(good, '127.0.0.1', ''), 'no encryption'],
      [as('wrong', '127.0.0.1', '?sslmode=require'), 'password authentication failed'],
      [url.replace('inferd@', 'app@') + '?sslmode=require', 'password'],
      [as(good, 'localhost', '?sslmode=verify-full'), 'self-signed certificate'],
      [as(good, '127.0.0.1', `?sslmode=verify-full&sslrootcert=${certificate!}`), 'certificate'],
    ] as const) {
      await expect(openStore(postgresOptions(address)), address).rejects.toThrow(problem)
    }
    for (const address of [as(good, '127.0.0.1', '?sslmode=require'), as(good, 'localhost', `?sslmode=verify-full&sslrootcert=${certificate!}`)]) {
      const store = await openStore(postgresOptions(address))
      expect((await sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`.execute(store.db)).rows).toEqual([{ ssl: 1 }])
      await store.close()
    }
    writeFileSync(certificate!, 'not a certificate')
    await expect(openStore(postgresOptions(as(good, 'localhost', `?sslmode=verify-full&sslrootcert=${folder}/none.pem`)))).rejects.toMatchObject({
      code: 'invalid_parameter',
    })
  })
})
