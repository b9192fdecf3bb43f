import { expect, test } from 'vitest'
import { readConfig } from './read-config.ts'
import { ENGINE_SETTINGS, SERVER_SETTINGS, environmentName, flagName } from './schema.ts'

test('a flag wins over the environment and the environment over the default', () => {
  const environment = { INFERD_PORT: '9000', INFERD_HOST: '::1' }
  const config = readConfig(SERVER_SETTINGS, { port: '9001' }, environment)
  expect([config.port, config.host, config.drainS]).toEqual([9001, '::1', 30])
})

test('a value out of range names the flag, the range and what was given', () => {
  expect(() => readConfig(SERVER_SETTINGS, { port: '70000' }, {})).toThrow("--port must be a whole number from 0 to 65535, not '70000'")
  expect(() => readConfig(SERVER_SETTINGS, {}, { INFERD_PORT: '1e3' })).toThrow("INFERD_PORT must be a whole number from 0 to 65535, not '1e3'")
  expect(() => readConfig(ENGINE_SETTINGS, { kernels: 'cuda' }, {})).toThrow("--kernels must be one of native, reference, not 'cuda'")
})

test('the KV cache has one of three types', () => {
  expect(readConfig(ENGINE_SETTINGS, {}, {}).kvType).toBe('f16')
  for (const kvType of ['f32', 'f16', 'q8_0']) expect(readConfig(ENGINE_SETTINGS, {}, { INFERD_KV_TYPE: kvType }).kvType).toBe(kvType)
  expect(() => readConfig(ENGINE_SETTINGS, { kvType: 'q4_0' }, {})).toThrow("--kv-type must be one of f16, f32, q8_0, not 'q4_0'")
})

test('flag and variable names follow from the key', () => {
  expect(flagName('kvCacheMib')).toBe('--kv-cache-mib')
  expect(environmentName('kvCacheMib')).toBe('INFERD_KV_CACHE_MIB')
})
