/** One batch of OpenAI's dialect that has more to do than time, and how fast it gets on. */
import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '#base/random'
import type { InferdProcess } from '../../tests/e2e/inferd-process.ts'
import { type CallShape, chatBody } from './interactive-calls.ts'

interface BatchView {
  readonly id: string
  readonly status: string
  readonly request_counts: { readonly completed: number }
}

const NUM_RECORDS = 6000
const POLL_MS = 20

export class BatchRun {
  private readonly server: InferdProcess
  private readonly id: string

  private constructor(server: InferdProcess, id: string) {
    this.server = server
    this.id = id
  }

  static async start(server: InferdProcess, shape: CallShape, seed: number): Promise<BatchRun> {
    const random = new SeededRandom(seed)
    const line = (_: unknown, index: number): string =>
      JSON.stringify({ custom_id: `r${index}`, method: 'POST', url: '/v1/chat/completions', body: chatBody(shape, random) })
    const form = new FormData()
    form.set('purpose', 'batch')
    form.set('file', new Blob([Array.from({ length: NUM_RECORDS }, line).join('\n')]), 'in.jsonl')
    const file = (await (await fetch(`${server.baseUrl}/v1/files`, { method: 'POST', body: form })).json()) as { id: string }
    const order = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' }
    const { id } = (await (await server.post('/v1/batches', order)).json()) as BatchView
    const run = new BatchRun(server, id)
    while ((await run.view()).request_counts.completed === 0) await sleep(POLL_MS)
    return run
  }

  /** Records a second from one change of the counts, which are told twice a second, to the first one behind the duration. */
  async rateOver(durationMs: number): Promise<number> {
    const first = await this.nextChange()
    await sleep(Math.max(0, durationMs - (performance.now() - first.atMs)))
    const last = await this.nextChange()
    return ((last.completed - first.completed) / (last.atMs - first.atMs)) * 1000
  }

  async cancel(): Promise<void> {
    await this.server.post(`/v1/batches/${this.id}/cancel`, {})
    while (!['cancelled', 'completed'].includes((await this.view()).status)) await sleep(POLL_MS)
  }

  private async nextChange(): Promise<{ readonly completed: number; readonly atMs: number }> {
    const before = (await this.view()).request_counts.completed
    for (;;) {
      const { status, request_counts } = await this.view()
      if (request_counts.completed !== before) return { completed: request_counts.completed, atMs: performance.now() }
      if (status !== 'in_progress') throw new Error(`the batch is ${status}: it had too little to do`)
      await sleep(POLL_MS)
    }
  }

  private async view(): Promise<BatchView> {
    return (await (await fetch(`${this.server.baseUrl}/v1/batches/${this.id}`)).json()) as BatchView
  }
}
