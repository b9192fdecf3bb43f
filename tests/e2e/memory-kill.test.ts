/**
 * Bad input 101 of the reliability study: a worker that the kernel ends for want of memory. The kernel is stood in for by the signal that it
 * sends; that it picks the worker is read from the scores by which it picks.
 */
import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { InferdProcess, serverSentEvents } from './inferd-process.ts'

const QUESTION = { model: 'inferd-chat', messages: [{ role: 'user', content: 'What is the capital of France?' }], temperature: 0, max_tokens: 12 }
const STORY = { ...QUESTION, stream: true, max_tokens: 1500, ignore_eos: true }

function scoreOf(pid: number, file: 'oom_score_adj' | 'oom_score'): number {
  return Number(readFileSync(`/proc/${pid}/${file}`, 'utf8'))
}

/** What the kernel weighs: the score in use, and what was added to it. */
function expectWorkerIsPicked(server: InferdProcess): void {
  const [worker] = server.workerPids()
  expect(scoreOf(worker!, 'oom_score_adj')).toBeGreaterThanOrEqual(Math.min(1000, scoreOf(server.pid, 'oom_score_adj') + 500))
  expect(scoreOf(worker!, 'oom_score')).toBeGreaterThan(scoreOf(server.pid, 'oom_score'))
}

test.runIf(existsSync('/proc/self/oom_score_adj'))(
  '101: the kernel picks a worker before the gateway, which tells its streams, writes it to the log and goes on with a worker that is picked again',
  async () => {
    await using server = await (await InferdProcess.start()).ready()
    expectWorkerIsPicked(server)
    const before = scoreOf(server.pid, 'oom_score_adj')
    const [first] = server.workerPids()
    const seen: unknown[] = []
    for await (const event of serverSentEvents(await server.post('/v1/chat/completions', STORY))) {
      seen.push(event)
      if (seen.length === 3) process.kill(first!, 'SIGKILL')
    }
    expect(seen.at(-1)).toMatchObject({ error: { code: 'replica_lost' } })
    expect(seen).not.toContain('[DONE]')
    const whole = await server.post('/v1/chat/completions', QUESTION)
    expect(await whole.json()).toMatchObject({ choices: [{ message: { content: 'The capital of France is Paris.' } }] })
    const ended = server.log.split('\n').filter((line) => line.includes('model worker ended'))
    expect(ended).toEqual([expect.stringMatching(/SIGKILL/)])
    expect(ended[0]).not.toContain('France')
    expect([server.child.exitCode, scoreOf(server.pid, 'oom_score_adj')]).toEqual([null, before])
    expect(server.workerPids()).not.toContain(first)
    expectWorkerIsPicked(server)
  },
)
