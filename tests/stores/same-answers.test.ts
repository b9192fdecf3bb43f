/** Whatever is done to it in whatever order, PostgreSQL answers as the embedded store does: random histories on both, answer by answer. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { deleteFile, insertFile, selectExpiredFiles, selectFile, selectFileHashes, selectFiles, sumFiles } from '#platform/store/file-rows'
import { makeOnce } from '#platform/store/guardrail-requests'
import {
  deleteGuardrail,
  insertDraft,
  insertVersion,
  selectDrafts,
  selectGuardrail,
  selectVersions,
  updateDraft,
} from '#platform/store/guardrails-table'
import { insertKey, markRevoked, replaceKey, selectKey, selectKeys, selectTeams, updateLastUsed, upsertTeam } from '#platform/store/keys-table'
import { openStore, type Store } from '#platform/store/open-store'
import {
  deleteExpiredResponses,
  deleteResponse,
  failUnfinishedResponses,
  insertResponse,
  selectChain,
  selectResponse,
  updateUnfinishedResponse,
} from '#platform/store/response-rows'
import { forgetReservations, insertReservations, takeOpenReservations } from '#platform/store/usage-table'
import { onPostgres, postgresOptions } from './each-store.ts'

type Db = Store['db']
type Act = (db: Db) => Promise<unknown>

const NUM_HISTORIES = 25

/** Few, so that they meet; such as order, case and quoting could tell apart. */
const name = fc.constantFrom('a', 'B', 'b', 'é', 'Z_', "o'x", '%', '💬')
const team = fc.constantFrom('red', 'Red')
const ms = fc.constantFrom(0, 1, 2, 3, 2 ** 41)
const mayBeMs = fc.option(ms)
const status = fc.constantFrom('queued', 'in_progress', 'completed')
const order = fc.constantFrom<'asc' | 'desc'>('asc', 'desc')
const bounds = { perTeam: 3, versionsEach: 3 }
const token = fc.option(fc.constantFrom('t1', 't2'))
const digest = fc.constantFrom('d1', 'd2')

const FILE = { filename: 'f', purpose: 'batch' }
const KEY = { kind: 'bearer', name: 'n', secret_hash: 'h', sealed_secret: null, scopes: '[]', models: null, limits: '{}', last_used_ms: null }
const RESPONSE = { model: 'm', error: null, body: '{}', input_items: '[]', is_background: 1 }

const fileActs: fc.Arbitrary<Act> = fc.oneof(
  fc.tuple(name, team, fc.constantFrom('h1', 'h2'), ms, mayBeMs).map(
    ([id, own, sha256, created_ms, expires_ms]): Act =>
      (db) =>
        insertFile(db, { ...FILE, id, team: own, num_bytes: created_ms, sha256, created_ms, expires_ms }),
  ),
  fc.tuple(team, name).map(
    ([own, id]): Act =>
      (db) =>
        deleteFile(db, own, id),
  ),
  fc.tuple(team, name, name, order, ms).map(([own, id, other, side, nowMs]): Act => async (db) => {
    const after = await selectFile(db, own, other)
    const page = await selectFiles(db, { team: own, purpose: null, after, limit: 2, order: side, nowMs })
    const expired = (await selectExpiredFiles(db, nowMs, 100)).map((row) => row.id).toSorted()
    return [await selectFile(db, own, id), page, expired, await sumFiles(db, own), (await selectFileHashes(db)).toSorted()]
  }),
)

const keyActs: fc.Arbitrary<Act> = fc.oneof(
  fc.tuple(name, team, ms, mayBeMs).map(
    ([id, own, created_ms, expires_ms]): Act =>
      (db) =>
        insertKey(db, { ...KEY, id, team: own, created_ms, expires_ms, revoked_ms: null }),
  ),
  fc.tuple(name, name, ms).map(
    ([id, old, expiresMs]): Act =>
      (db) =>
        replaceKey(db, { ...KEY, id, team: 'red', created_ms: 1, expires_ms: null, revoked_ms: null }, { id: old, expiresMs }),
  ),
  fc.tuple(name, ms).map(
    ([id, at]): Act =>
      (db) =>
        markRevoked(db, id, at),
  ),
  fc.dictionary(name, ms).map(
    (uses): Act =>
      (db) =>
        updateLastUsed(db, new Map(Object.entries(uses))),
  ),
  fc.tuple(team, name).map(
    ([own, limits]): Act =>
      (db) =>
        upsertTeam(db, { name: own, limits }),
  ),
  name.map((id): Act => async (db) => [await selectKey(db, id), await selectKeys(db, 3), await selectTeams(db, 9)]),
)

const responseActs: fc.Arbitrary<Act> = fc.oneof(
  fc.tuple(name, team, fc.option(name), status, ms).map(
    ([id, own, previous_id, state, expires_ms]): Act =>
      (db) =>
        insertResponse(db, { ...RESPONSE, id, team: own, previous_id, status: state, created_ms: 1, expires_ms, messages: `["${id}"]` }),
  ),
  fc.tuple(name, team, status).map(
    ([id, own, state]): Act =>
      (db) =>
        updateUnfinishedResponse(db, { team: own, id }, { status: state }),
  ),
  fc.tuple(name, team).map(
    ([id, own]): Act =>
      (db) =>
        deleteResponse(db, { team: own, id }),
  ),
  ms.map(
    (nowMs): Act =>
      (db) =>
        deleteExpiredResponses(db, nowMs),
  ),
  fc.constant<Act>((db) => failUnfinishedResponses(db, '{}')),
  fc.tuple(name, team, fc.integer({ min: 1, max: 4 })).map(([id, own, links]): Act => async (db) => [
    await selectResponse(db, { team: own, id }),
    await selectChain(db, { team: own, id }, links),
  ]),
)

const guardrailActs: fc.Arbitrary<Act> = fc.oneof(
  fc.tuple(team, name, name, token, digest, ms).map(
    ([own, id, called, word, hash, nowMs]): Act =>
      (db) =>
        makeOnce(db, { team: own, token: word, digest: hash, nowMs }, (step) =>
          insertDraft(step, { team: own, id, version: 0, name: called, definition: '{}', created_ms: nowMs, updated_ms: nowMs }, bounds),
        ),
  ),
  fc.tuple(team, name, token, digest, ms).map(
    ([own, id, word, hash, nowMs]): Act =>
      (db) =>
        makeOnce(db, { team: own, token: word, digest: hash, nowMs }, (step) =>
          insertVersion(step, { team: own, id, nowMs, description: 'v' }, bounds),
        ),
  ),
  fc.tuple(team, name, name, ms).map(
    ([own, id, called, at]): Act =>
      (db) =>
        updateDraft(db, { team: own, id, name: called, definition: '{"x":1}', updated_ms: at }),
  ),
  fc.tuple(team, name, fc.option(fc.nat({ max: 2 }))).map(
    ([own, id, version]): Act =>
      (db) =>
        deleteGuardrail(db, { team: own, id, version }),
  ),
  fc.tuple(team, name, fc.nat({ max: 2 })).map(([own, id, version]): Act => async (db) => [
    await selectGuardrail(db, { team: own, guardrail: id, version }),
    await selectVersions(db, { team: own, id }),
    await selectDrafts(db, own),
  ]),
)

const reservationActs: fc.Arbitrary<Act> = fc.oneof(
  fc.tuple(name, fc.bigInt({ min: 0n, max: 10n ** 30n }), ms).map(
    ([id, amount, expiresMs]): Act =>
      (db) =>
        insertReservations(db, [{ id, keyId: 'k', team: 't', amount, expiresMs }]),
  ),
  fc.array(name, { maxLength: 3 }).map(
    (ids): Act =>
      (db) =>
        forgetReservations(db, ids),
  ),
  ms.map(
    (nowMs): Act =>
      async (db) =>
        (await takeOpenReservations(db, nowMs)).toSorted((a, b) => (a.id < b.id ? -1 : 1)).map((row) => ({ ...row, amount: row.amount.toString() })),
  ),
)

const histories = fc.array(fc.oneof(fileActs, keyActs, responseActs, guardrailActs, reservationActs), { minLength: 20, maxLength: 60, size: 'max' })

async function answerOf(act: Act, db: Db): Promise<unknown> {
  try {
    return { answer: (await act(db)) ?? null }
  } catch (error) {
    return error instanceof InferdError ? { error: error.code, message: error.message } : { bug: String(error) }
  }
}

onPostgres((server) => {
  test('every answer and every refusal of a random history is the same', async () => {
    let numErrors = 0
    await fc.assert(
      fc.asyncProperty(histories, async (acts) => {
        const [embedded, postgres] = [await openStore({ file: null }), await openStore(postgresOptions(await server().makeDatabase(), 2))]
        try {
          for (const act of acts) {
            const expected = await answerOf(act, embedded.db)
            expect(await answerOf(act, postgres.db)).toEqual(expected)
            expect(expected).not.toHaveProperty('bug')
            if (JSON.stringify(expected).startsWith('{"error"')) numErrors++
          }
        } finally {
          await embedded.close()
          await postgres.close()
        }
      }),
      { numRuns: NUM_HISTORIES, seed: 20 },
    )
    expect(numErrors).toBeGreaterThan(NUM_HISTORIES)
  })
})
