/** The store that the settings name: the file of the data directory, or a PostgreSQL server. */
import { readSecret } from '#config/read-secret'
import type { DataConfig } from '#config/schema'
import { openStore, type Store, type StoreOptions } from '#platform/store/open-store'
import { storeFileOf } from './data-dir.ts'
import type { TellDamage } from './disk-damage.ts'

/** Throws store_failed, and invalid_parameter for a password that is not where it should be. */
export function openDataStore(data: DataConfig, dataDir: string, tellDamage?: TellDamage): Promise<Store> {
  return openStore(storeOptions(data, dataDir), (cause) => tellDamage?.('the store', cause))
}

function storeOptions({ store: address, storePasswordFrom, storeConnections }: DataConfig, dataDir: string): StoreOptions {
  if (address === null) return { file: storeFileOf(dataDir) }
  const secret = storePasswordFrom === '' ? null : readSecret(storePasswordFrom)
  const postgres = secret === null ? address : { ...address, password: () => secret }
  return { postgres: { address: postgres, maxSessions: storeConnections } }
}
