/**
 * Processes that accept and run jobs, killed without a warning again and again, while this one notes what was acknowledged: nothing of that
 * is lost, nothing is shown twice, no end changes. JOB_KILLS sets how often. A kill leaves the page cache as it is; what a loss of power
 * leaves is shown by src/platform/store/job-damage.test.ts.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'

const NUM_KILLS = Number(process.env['JOB_KILLS'] ?? 100)
const TIMEOUT_MS = 30_000 + NUM_KILLS * 5000
const MIN_LIFE_MS = 20
const MAX_LIFE_MS = 400
/** Every so many lives all ends are looked at again: that takes long when there are many. */
const LIVES_PER_LOOK = 10
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-kills-'))
const children = new Set<ChildProcess>()

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

/** What an outsider has heard. */
class Journal {
  readonly acknowledged = new Map<string, string>()
  readonly ends = new Map<string, string>()
  readonly openMs: number[] = []
  private readonly idOf = new Map<string, string>()

  /** Until the process is gone; `onOpen` when it says that it works. */
  async listen(mode: 'fill' | 'look' | 'finish', onOpen: (child: ChildProcess) => void): Promise<boolean> {
    const startMs = performance.now()
    const child = spawn(process.execPath, ['--conditions=inferd-source', path.join(import.meta.dirname, 'job-process.ts'), folder, mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
      // Lives are short: what was compiled for one serves the next.
      env: { ...process.env, NODE_COMPILE_CACHE: path.join(folder, 'compiled') },
    })
    children.add(child)
    let isDone = false
    for await (const line of createInterface({ input: child.stdout! })) {
      const [word, id = '', ...rest] = line.split(' ')
      if (word === 'open') {
        this.openMs.push(performance.now() - startMs)
        onOpen(child)
      } else if (word === 'ack') this.hear(id, rest[0] ?? '-')
      else if (word === 'end') this.see(id, rest.join(' '))
      else if (word === 'done') isDone = true
    }
    children.delete(child)
    return isDone
  }

  /** One key is one job, over all lives of the process. */
  private hear(id: string, key: string): void {
    this.acknowledged.set(id, key)
    if (key === '-') return
    expect(this.idOf.get(key) ?? id, `the job of ${key}`).toBe(id)
    this.idOf.set(key, id)
  }

  private see(id: string, end: string): void {
    expect(this.ends.get(id) ?? end, `the end of ${id}`).toBe(end)
    this.ends.set(id, end)
  }
}

test(
  `${NUM_KILLS} kills: what was acknowledged ends once, with one whole result`,
  async () => {
    const random = new SeededRandom(7)
    const journal = new Journal()
    for (let kill = 0; kill < NUM_KILLS; kill++) {
      const mode = kill % LIVES_PER_LOOK === 0 ? 'look' : 'fill'
      const lifeMs = MIN_LIFE_MS + random.nextInt(MAX_LIFE_MS - MIN_LIFE_MS)
      await journal.listen(mode, (child) => void sleep(lifeMs).then(() => child.kill('SIGKILL')))
    }
    expect(await journal.listen('finish', () => {})).toBe(true)
    const { acknowledged, ends, openMs } = journal
    const [median, slowest] = [openMs.toSorted((a, b) => a - b)[Math.floor(openMs.length / 2)]!, Math.max(...openMs)].map(Math.round)
    console.log(`${acknowledged.size} acknowledged, ${ends.size} ended; from spawn to open: median ${median} ms, at most ${slowest} ms`)
    expect(acknowledged.size).toBeGreaterThan(NUM_KILLS)
    expect([...acknowledged.keys()].filter((id) => !ends.has(id))).toEqual([])
    const files = readdirSync(path.join(folder, 'results')).filter((name) => !name.includes('.part'))
    expect(files.toSorted()).toEqual([...ends.keys()].toSorted())
    for (const [id, end] of ends) {
      const text = readFileSync(path.join(folder, 'results', id), 'utf8')
      const [state = '', ...result] = end.split(' ')
      expect(['succeeded', 'cancelled']).toContain(state)
      expect(JSON.parse(result.join(' '))).toEqual({ shown: text })
    }
  },
  TIMEOUT_MS,
)
