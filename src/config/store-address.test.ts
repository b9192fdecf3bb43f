import { expect, test } from 'vitest'
import { storeAddress } from './store-address.ts'

const setting = storeAddress({ doc: '' })
const read = (text: string) => setting.parse(text, '--store')

test('the embedded store has no address; a URL has one, with the port of PostgreSQL and TLS for every machine but this one', () => {
  expect(read('embedded')).toBeNull()
  expect(read('postgres://app@db.example/prod')).toMatchObject({ host: 'db.example', port: 5432, user: 'app', database: 'prod', tls: 'verify-full' })
  expect(read('postgresql://app@127.0.0.1:6000/prod')).toMatchObject({ port: 6000, tls: 'disable', caFile: null })
  expect(read('postgres://app@[::1]/prod')).toMatchObject({ host: '::1', tls: 'disable' })
  expect(read('postgres://app@%2Frun%2Fpostgresql/prod')).toMatchObject({ host: '/run/postgresql', tls: 'disable' })
  expect(read('postgres://app@db/prod?sslmode=require')).toMatchObject({ tls: 'require' })
  expect(read('postgres://app@db/prod?sslmode=verify-full&sslrootcert=/etc/ca.pem')).toMatchObject({ tls: 'verify-full', caFile: '/etc/ca.pem' })
})

test('a password may have any character and is in no text that is made of the address', () => {
  const address = read('postgres://app:p%40ss%2Fw%3Ard@db/prod')
  expect(address?.password()).toBe('p@ss/w:rd')
  expect(JSON.stringify(address)).not.toContain('p@ss')
})

test.each([
  ['mysql://app@db/prod', 'must be embedded or postgres://'],
  ['/var/lib/store', 'must be embedded or postgres://'],
  ['', 'must be embedded or postgres://'],
  ['postgres://db/prod', 'must have a user, a host and a database'],
  ['postgres://app@db', 'must have a user, a host and a database'],
  ['postgres://app@db/', 'must have a user, a host and a database'],
  ['postgres://app@db/a/b', 'must have a user, a host and a database'],
  ['postgres://app@db:99999/prod', 'must be embedded or postgres://'],
  ['postgres://app@db/prod?sslmode=prefer', 'sslmode must be one of disable, require, verify-full'],
  ['postgres://app@db/prod?sslmode=require&sslrootcert=ca.pem', 'sslrootcert is for sslmode=verify-full'],
  ['postgres://app@db/prod?options=-cfsync%3Doff', 'sslmode and sslrootcert behind the database'],
  ['postgres://app@db/prod#x', 'sslmode and sslrootcert behind the database'],
  ['postgres://app:%zz@db/prod', 'has a % that begins no encoded byte'],
])('%s is refused: %s', (url, reason) => {
  expect(() => read(url)).toThrow(reason)
})

test('no refusal repeats the password', () => {
  for (const url of [
    'mysql://app:hunter2@db/prod',
    'postgres://app:hunter2@db',
    'postgres://app:hunter2@db/prod?x=1',
    'postgres://app:hunter2%@db/p',
  ]) {
    expect(() => read(url)).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hunter2') }) as Error)
  }
})
