/** A server on a free loopback port with a silent, recording log and ids that count. */
import { type Clock, systemClock } from '#base/clock'
import type { Authenticate, ScopeRefusal } from '#server/http/door-request'
import { createServer, type InferenceServer } from '#server/http/listener'
import type { ServerLog, ServerOptions } from '#server/http/server-options'
import type { OnlineModels } from '#platform/online/online-models'
import type { ModelDirectory } from '#platform/registry/served-model'
import type { ServerServices } from '#server/services'
import { directoryOf, FakeModel } from './fake-model.ts'

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly fields: object
  readonly message: string
}

export interface TestServer {
  readonly url: string
  readonly port: number
  readonly model: FakeModel
  readonly server: InferenceServer
  readonly lines: readonly LogLine[]
}

export interface TestServerArguments {
  readonly model?: FakeModel
  readonly models?: ModelDirectory
  readonly options?: Partial<ServerOptions>
  readonly authenticate?: Authenticate
  readonly onScopeRefusal?: (refusal: ScopeRefusal) => void
  readonly online?: OnlineModels
  readonly services?: ServerServices
  readonly clock?: Clock
}

export async function startTestServer({
  model = new FakeModel(),
  models = directoryOf(model),
  options = {},
  authenticate,
  onScopeRefusal,
  online,
  services,
  clock = systemClock,
}: TestServerArguments = {}): Promise<TestServer> {
  const lines: LogLine[] = []
  const log: ServerLog = {
    info: (fields, message) => lines.push({ level: 'info', fields, message }),
    warn: (fields, message) => lines.push({ level: 'warn', fields, message }),
    error: (fields, message) => lines.push({ level: 'error', fields, message }),
  }
  let numIds = 0
  const server = createServer({
    models,
    options: { host: '127.0.0.1', port: 0, lingerMs: 300, ...options },
    log,
    clock,
    newId: (prefix) => `${prefix}-${++numIds}`,
    ...(authenticate === undefined ? {} : { authenticate }),
    ...(onScopeRefusal === undefined ? {} : { onScopeRefusal }),
    ...(online === undefined ? {} : { online }),
    ...(services === undefined ? {} : { services }),
  })
  const { url, port } = await server.listen()
  return { url, port, model, server, lines }
}
