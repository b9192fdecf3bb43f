/**
 * The wire to the byte: every fixture of `tests/fixtures/wire` is sent over a bare socket to a server whose model is scripted, and the answer is
 * the recorded one. `INFERD_RECORD_WIRE=1` writes the answers instead; what is then reviewed is the diff (tests/fixtures/wire/README.md).
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { ERRORS } from '#contract/errors'
import type { ProtocolFamily, ProtocolRoute } from '#server/operation'
import { PROTOCOL_FAMILIES } from '#server/protocol-families'
import { exchange } from './wire-exchange.ts'
import { parseFixture, printFixture, readableMessage, type WireExchange } from './wire-fixture.ts'
import { startScene } from './wire-scene.ts'
import { scriptOf } from './wire-scripts.ts'

const FOLDER = path.resolve(import.meta.dirname, '../fixtures/wire')
const IS_RECORDING = process.env['INFERD_RECORD_WIRE'] === '1'
const FILES = globSync('*/*.http', { cwd: FOLDER }).toSorted()
/** Nobody is there to read it. */
const UNSEEN_ERRORS = ['cancelled']

const fixtureOf = (file: string): WireExchange[] => parseFixture(readFileSync(path.join(FOLDER, file), 'utf8'))

test.each(FILES)('%s', async (file) => {
  const fixture = fixtureOf(file)
  const scene = await startScene({ keepsThings: fixture.length > 1 })
  const replayed: WireExchange[] = []
  try {
    for (const { model, request, answer } of fixture) {
      scene.target.model.script = scriptOf(model)
      const actual = await exchange(scene.target.port, request)
      replayed.push({ model, request, answer: actual })
      if (IS_RECORDING) continue
      expect(answer, `${file} is not recorded`).not.toBeNull()
      if (answer === null) continue
      expect(readableMessage(actual)).toBe(readableMessage(answer))
      expect(actual).toEqual(answer)
    }
  } finally {
    await scene.stop()
  }
  if (IS_RECORDING) writeFileSync(path.join(FOLDER, file), printFixture(replayed))
})

test.skipIf(IS_RECORDING)('a fixture is written in the one form in which it is recorded', () => {
  for (const file of FILES) expect(printFixture(fixtureOf(file)), file).toBe(readFileSync(path.join(FOLDER, file), 'utf8'))
})

test('every route of every family has a fixture in the folder of its family', () => {
  const missing = PROTOCOL_FAMILIES.flatMap((family) => {
    const asked = requestLinesOf(family)
    return family.routes.filter((route) => !asked.some((line) => isOf(line, route))).map(({ method, path: at }) => `${family.name}: ${method} ${at}`)
  })
  expect(missing).toEqual([])
})

test('every family that serves models has a fixture of every error', () => {
  const missing = PROTOCOL_FAMILIES.filter(({ routes }) => routes.some(({ kind }) => kind !== 'service')).flatMap(({ name }) => {
    const models = FILES.filter((file) => path.dirname(file) === name)
      .flatMap(fixtureOf)
      .map(({ model }) => model)
    return Object.keys(ERRORS)
      .filter((code) => !UNSEEN_ERRORS.includes(code) && !models.includes(`fails ${code}`))
      .map((code) => `${name}: ${code}`)
  })
  expect(missing).toEqual([])
})

function requestLinesOf({ name }: ProtocolFamily): string[] {
  return FILES.filter((file) => path.dirname(file) === name)
    .flatMap(fixtureOf)
    .map(({ request }) => request.head[0] ?? '')
}

function isOf(requestLine: string, { method, path: pattern }: ProtocolRoute): boolean {
  const [sentMethod, target = ''] = requestLine.split(' ')
  const expression = pattern.replaceAll(/:\w+/g, '[^/]+').replace(/\*$/, '.+')
  return sentMethod === method && new RegExp(`^${expression}$`).test(target.split('?')[0] ?? '')
}
