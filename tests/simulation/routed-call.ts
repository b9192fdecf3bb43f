/** Routes over fake models that fail, hang or answer, for the tests of routing. */
import { FakeClock } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { DEFAULT_CALL_OPTIONS, newCallReport, type OnlineCall } from '#contract/call'
import { InferdError, type ErrorCode } from '#contract/errors'
import { NO_USAGE, PLAIN_OUTPUT, type FinishReason, type GenerateEvent, type GenerateRequest } from '#contract/generate'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { ModelDirectory, ServedModel } from '#contract/served-model'
import type { RouteDefinition } from '#platform/routing/route-definition'
import { ROUTE_DEFAULTS } from '#platform/routing/route-table'
import { routingHandler, type RoutingHandler } from '#platform/routing/routing-handler'
import { directoryOf, FakeModel, sayWords, type Script } from '../conformance/fake-model.ts'

export const START: GenerateEvent = { type: 'response-start', promptTokens: 3, cachedTokens: 0 }
export const NEVER = new AbortController().signal

export const fails = (code: ErrorCode): Script =>
  async function* () {
    yield START
    throw new InferdError(code, code)
  }

export const endsAs = (finishReason: FinishReason): Script =>
  async function* () {
    yield START
    yield { type: 'text-delta', choice: 0, text: 'bad', logprobs: null }
    yield { type: 'choice-end', choice: 0, finishReason, stopString: null }
    yield { type: 'response-end', usage: { ...NO_USAGE, promptTokens: 3, completionTokens: 4 } }
  }

export function hangs(onAbort: () => void = () => {}): Script {
  return async function* (_request, signal) {
    yield START
    await new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => {
        onAbort()
        reject(signal.reason as Error)
      }),
    )
  }
}

export function route(name: string, first: string, more: Partial<RouteDefinition> = {}): RouteDefinition {
  return { ...ROUTE_DEFAULTS, name, variants: [{ model: first, weight: 1 }], ...more }
}

export function callOf(model: string, more: Partial<OnlineCall> = {}): OnlineCall {
  const request = { input: { kind: 'text', text: 'hi' }, output: PLAIN_OUTPUT, maxTokens: null, numChoices: 1, numTopLogprobs: null }
  return {
    requestId: 'r',
    principal: LOCAL_PRINCIPAL,
    dialect: 'openai',
    model,
    options: DEFAULT_CALL_OPTIONS,
    arrivedMs: 0,
    report: newCallReport(),
    operation: 'chat',
    request: request as unknown as GenerateRequest,
    isBuffered: false,
    ...more,
  }
}

export const say = (word: string): Script => sayWords([word])

export function handlerOf(scripts: Readonly<Record<string, Script>>, routes: readonly RouteDefinition[], clock = new FakeClock()): RoutingHandler {
  const models: ModelDirectory = directoryOf(...Object.entries(scripts).map(([name, script]): ServedModel => new FakeModel({ name, script })))
  return routingHandler({ models, routes, clock, random: new SeededRandom(1) })
}

export async function textOf(events: AsyncIterable<GenerateEvent>): Promise<string> {
  let text = ''
  for await (const event of events) {
    if (event.type === 'text-delta') text += event.text
    if (event.type === 'response-error') text += `!${event.error.code}`
  }
  return text
}
