/** The whole of what is deployed: looked at, and brought to what a document says. */
import { parseDeclaration } from '#config/deployment-file'
import { InferdError } from '#contract/errors'
import { invalid } from '#server/fields'
import type { ProtocolRoute } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { encodeComparison, readComparisonQuery } from './comparison-query.ts'

const PATH = '/inferd/v1/deployments'

export const DEPLOYMENT_ROUTES: readonly ProtocolRoute[] = [
  {
    kind: 'service',
    method: 'GET',
    path: PATH,
    scope: 'read',
    handle: async (_incoming, { services: { deployments, scaling } }) => {
      if (deployments === null || scaling === null) throw new InferdError('route_not_found', 'this server keeps no deployments')
      const [endpoints, models, targets] = [await deployments.listEndpoints(), await deployments.listModels(), await scaling.listTargets()]
      return jsonReply({ object: 'deployments', endpoints, models, scaling: targets })
    },
  },
  {
    kind: 'service',
    method: 'POST',
    path: PATH,
    scope: 'operate',
    handle: async ({ body, query }, { services: { declarations }, principal: { team, keyId }, signal }) => {
      if (declarations === null) throw new InferdError('route_not_found', 'this server keeps no deployments')
      const isDryRun = flagOf(query, 'dry_run')
      const terms = { team, keyId, prune: flagOf(query, 'prune') }
      const declaration = parseDeclaration(body, 'the document')
      const changes = isDryRun ? await declarations.plan(declaration, terms) : await declarations.apply(declaration, terms, signal)
      return jsonReply({ object: 'deployment_plan', applied: !isDryRun, changes })
    },
  },
  {
    kind: 'service',
    method: 'GET',
    path: `${PATH}/endpoints/:name/comparison`,
    scope: 'operate',
    handle: async ({ params, query }, { services: { comparisons } }) => {
      if (comparisons === null) throw new InferdError('route_not_found', 'this server keeps no deployments')
      return jsonReply(encodeComparison(await comparisons.compare(readComparisonQuery(params['name'] ?? '', query))))
    },
  },
  {
    kind: 'service',
    method: 'DELETE',
    path: `${PATH}/endpoints/:name`,
    scope: 'operate',
    bodyKind: 'none',
    handle: async ({ params }, { services: { deployments } }) => {
      if (deployments === null) throw new InferdError('route_not_found', 'this server keeps no deployments')
      const name = params['name'] ?? ''
      await deployments.deleteEndpoint(name)
      return jsonReply({ object: 'endpoint', name, status: 'Deleting' })
    },
  },
]

function flagOf(query: URLSearchParams, name: string): boolean {
  const value = query.get(name) ?? 'false'
  if (value !== 'true' && value !== 'false') throw invalid(name, `${name} must be true or false`)
  return value === 'true'
}
