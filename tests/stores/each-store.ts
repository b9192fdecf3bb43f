/**
 * One suite, both stores: `onEachStore(({ open }) => { test('...', async () => { const store = await open() ... }) })`. What `open` gives is
 * empty, and closed and forgotten after the test. PostgreSQL is started once for the file; a machine without it says so.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { storeAddress } from '#config/store-address'
import { openStore, type Store, type StoreOptions } from '#platform/store/open-store'
import type { PostgresPoolOptions } from '#platform/store/postgres-pool'
import { HAS_POSTGRES, type PostgresServer, startPostgres } from './postgres-server.ts'

export interface StoreUnderTest {
  readonly kind: 'embedded' | 'postgres'
  readonly open: () => Promise<Store>
  /** Two openings of one store, as of two processes. */
  readonly openTwice: () => Promise<readonly [Store, Store]>
}

export function onEachStore(suite: (stores: StoreUnderTest) => void): void {
  describe('the embedded store', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'inferd-each-store-'))
    afterAll(() => rmSync(folder, { recursive: true, force: true }))
    let numFiles = 0
    const onDisk = (): Promise<StoreOptions> => Promise.resolve({ file: path.join(folder, `${++numFiles}.sqlite`) })
    suite(storesOf('embedded', { makeEmpty: () => Promise.resolve({ file: null }), makeShared: onDisk }))
  })
  onPostgres((server) => {
    const make = async (): Promise<StoreOptions> => postgresOptions(await server().makeDatabase())
    suite(storesOf('postgres', { makeEmpty: make, makeShared: make }))
  })
}

/** Without initdb on this machine its tests are named and not run. */
export function onPostgres(suite: (server: () => PostgresServer) => void): void {
  describe.runIf(HAS_POSTGRES)(HAS_POSTGRES ? 'the store on PostgreSQL' : 'the store on PostgreSQL (this machine has no initdb)', () => {
    let server: PostgresServer | null = null
    beforeAll(async () => {
      server = await startPostgres()
    })
    afterAll(async () => {
      await server?.[Symbol.asyncDispose]()
    })
    suite(() => server!)
  })
}

export function postgresOptions(url: string, maxSessions = 6): { readonly postgres: PostgresPoolOptions } {
  const address = storeAddress({ doc: '' }).parse(url, '--store')
  if (address === null) throw new Error('not an address of PostgreSQL')
  return { postgres: { address, maxSessions } }
}

interface StoreMakers {
  readonly makeEmpty: () => Promise<StoreOptions>
  /** One that can be opened more than once. */
  readonly makeShared: () => Promise<StoreOptions>
}

function storesOf(kind: StoreUnderTest['kind'], { makeEmpty, makeShared }: StoreMakers): StoreUnderTest {
  const opened: Store[] = []
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close()
  })
  const openOf = async (options: StoreOptions): Promise<Store> => {
    const store = await openStore(options)
    opened.push(store)
    return store
  }
  return {
    kind,
    open: async () => openOf(await makeEmpty()),
    openTwice: async () => {
      const options = await makeShared()
      return Promise.all([openOf(options), openOf(options)])
    },
  }
}
