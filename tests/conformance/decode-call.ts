/** A call decoded by a family's own route, without a server: for tests and benches of the translation alone. */
import { newCallReport, type CallReport } from '#contract/call'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { DEFAULT_SERVER_OPTIONS } from '#server/http/server-options'
import type { DecodeContext, GenerateCall, Incoming, JsonObject, ProtocolFamily, ProtocolRoute } from '#server/operation'
import { NO_SERVICES } from '#server/services'
import { FAKE_FACTS } from './fake-model.ts'

export const DECODE_CONTEXT: DecodeContext = {
  model: 'fake/model',
  requestId: 'req-1',
  responseId: 'id-1',
  createdSeconds: 1_700_000_000,
  systemFingerprint: 'fp_test',
  facts: FAKE_FACTS,
  limits: DEFAULT_SERVER_OPTIONS.limits,
  principal: LOCAL_PRINCIPAL,
  services: NO_SERVICES,
  elapsedMs: () => 0,
}

export function incomingOf(path: string, body: JsonObject, more: Partial<Incoming> = {}): Incoming {
  const bytes = Buffer.from(JSON.stringify(body))
  return { method: 'POST', path, params: {}, query: new URLSearchParams(), headers: {}, body, bytes, stream: null, ...more }
}

/** `path` is the route's own. */
export async function decodeCall(family: ProtocolFamily, path: string, incoming: Incoming, context = DECODE_CONTEXT): Promise<GenerateCall> {
  const route = family.routes.find((one): one is Extract<ProtocolRoute, { kind: 'generate' }> => one.kind === 'generate' && one.path === path)
  if (route === undefined) throw new RangeError(`no route ${path}`)
  return route.decode(incoming, context)
}

/** Of a call of which nothing is known. */
export const EMPTY_REPORT: CallReport = newCallReport()
