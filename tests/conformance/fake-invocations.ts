/** Invocations that take every order and remember it: what dialects say is looked at, and nothing runs. */
import type { InferdError } from '#contract/errors'
import type { Invocation, InvocationOrder, Invocations } from '#contract/invocation'

export const INVOCATION: Invocation = {
  id: 'inv-1',
  inferenceId: 'order-7',
  endpoint: 'fake-model',
  state: 'queued',
  attempt: 0,
  inputLocation: 's3://in/7.json',
  outputLocation: 's3://out/inv-1.out',
  failureLocation: 's3://out/inv-1.error',
  createdMs: 1_700_000_000_000,
  startedMs: null,
  endedMs: null,
  startByMs: 1_700_000_060_000,
  cancelRequestedMs: null,
  error: null,
}

/** Knows one invocation. */
export class FakeInvocations implements Invocations {
  readonly orders: { readonly order: InvocationOrder; readonly payload: string | null }[] = []
  refusal: InferdError | null = null
  /** What whoever follows one sees. */
  changes: readonly (Invocation | null)[] = [INVOCATION, null, { ...INVOCATION, state: 'succeeded', attempt: 1, endedMs: 1_700_000_002_000 }]

  async accept(order: InvocationOrder): Promise<Invocation> {
    if (this.refusal !== null) throw this.refusal
    const chunks: Uint8Array[] = []
    if (order.input.kind === 'payload') for await (const chunk of order.input.chunks) chunks.push(chunk)
    this.orders.push({ order, payload: order.input.kind === 'payload' ? Buffer.concat(chunks).toString() : null })
    return INVOCATION
  }

  async get(_team: string, id: string): Promise<Invocation | null> {
    return id === INVOCATION.id ? INVOCATION : null
  }

  async cancel(team: string, id: string): Promise<Invocation | null> {
    const found = await this.get(team, id)
    return found === null ? null : { ...found, state: 'cancelled', endedMs: 1_700_000_002_000 }
  }

  async *follow(): AsyncGenerator<Invocation | null> {
    yield* this.changes
  }
}
