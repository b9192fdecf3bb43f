/**
 * Restart of `inferd serve` after `kill -9`, from spawn to an answer of 200 at /readyz, for the shipped model: [LIVES]. First with nothing to
 * do, then under the load of the kill tests (asynchronous invocations, batches, transforms, kept answers, files, streams), all of which is
 * held against its journals at the end.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import path from 'node:path'
import { SeededRandom } from '#base/random'
import { InferdProcess } from '../../tests/e2e/inferd-process.ts'
import { KilledServer } from '../../tests/kills/killed-server.ts'
import { emit, recordOf } from '../record.ts'

const [lives = '20'] = process.argv.slice(2)
const numLives = Number(lives)
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-restart-'))
console.log(`load of the machine before: ${loadavg()[0]!.toFixed(2)}`)
try {
  const idleMs: number[] = []
  for (let life = 0; life <= numLives; life++) {
    const startMs = performance.now()
    await using server = await InferdProcess.start('--data-dir', path.join(folder, 'idle'), '--log-level', 'error')
    await server.ready()
    // The first one makes the data directory.
    if (life > 0) idleMs.push(performance.now() - startMs)
  }
  print('idle', idleMs)
  using server = await KilledServer.open(path.join(folder, 'loaded'), new SeededRandom(9))
  const { readyMs } = await server.live(numLives)
  print('under load', readyMs)
  await server.check()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function print(name: string, measuredMs: readonly number[]): void {
  emit(recordOf({ suite: 'restart', case: `${name}, ${measuredMs.length} lives`, metric: 'to ready', unit: 'ms' }, measuredMs))
  console.log(`at most ${Math.max(...measuredMs).toFixed(0)} ms`)
}
