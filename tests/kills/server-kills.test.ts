/**
 * `kill -9` of real servers and their workers under load of every kind, with journals outside: nothing acknowledged is lost, nothing is
 * visible twice. SERVER_KILLS sets how many kills of gateways and workers together there are at least.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { KilledServer } from './killed-server.ts'

const NUM_KILLS = Number(process.env['SERVER_KILLS'] ?? 80)
/** Of a gateway; half of them are preceded by one of its worker. */
const NUM_LIVES = Math.ceil((NUM_KILLS * 2) / 3)
/** Usually 1 s: the bound is for machines that are busy. */
const MAX_READY_MS = 20_000
const TIMEOUT_MS = 60_000 + NUM_LIVES * 10_000

test(
  `${NUM_KILLS} kills of gateways and workers: nothing acknowledged is lost, nothing is visible twice`,
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'inferd-server-kills-'))
    using server = await KilledServer.open(folder, new SeededRandom(9))
    const { readyMs, numGatewayKills, numWorkerKills, loads } = await server.live(NUM_LIVES)
    await server.check()
    const [median, slowest] = [readyMs.toSorted((a, b) => a - b)[Math.floor(readyMs.length / 2)]!, Math.max(...readyMs)]
    const counts = loads.map(({ name, numAcknowledged }) => `${numAcknowledged} ${name}`).join(', ')
    console.log(`${numGatewayKills} gateways and ${numWorkerKills} workers killed; acknowledged: ${counts}`)
    console.log(`restart to ready under load: median ${Math.round(median)} ms, at most ${Math.round(slowest)} ms`)
    for (const { name, numAcknowledged } of loads) expect(numAcknowledged, name).toBeGreaterThan(0)
    expect(slowest).toBeLessThan(MAX_READY_MS)
    rmSync(folder, { recursive: true, force: true })
  },
  TIMEOUT_MS,
)
