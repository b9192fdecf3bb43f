/** Routes that are inferd's own: what was used, and how the server is. */
import { InferdError } from '#contract/errors'
import type { ProtocolFamily } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { encodeError } from './encode-error.ts'
import { DEPLOYMENT_ROUTES } from './deployment-routes.ts'
import { INVOCATION_ROUTES } from './invocation-routes.ts'
import { encodePlans, readPlanQuery } from './plan-query.ts'
import { visibleMetrics } from './visible-metrics.ts'
import { encodeUsageReport, readUsageQuery } from './usage-query.ts'

export const managementFamily: ProtocolFamily = {
  name: 'management',
  pathPrefixes: ['/inferd/', '/metrics', '/async/'],
  encodeError,
  routes: [
    {
      kind: 'service',
      method: 'GET',
      path: '/inferd/v1/usage',
      scope: 'read',
      handle: async ({ query }, { services, principal }) => {
        if (services.usage === null) throw new InferdError('route_not_found', 'this server keeps no ledger')
        const usageQuery = readUsageQuery(query, principal)
        return jsonReply(encodeUsageReport(await services.usage.totals(usageQuery.filter, usageQuery.groupBy), usageQuery))
      },
    },
    {
      kind: 'service',
      method: 'GET',
      path: '/inferd/v1/plan',
      scope: 'read',
      handle: async ({ query }, { services, principal }) => {
        if (services.plans === null) throw new InferdError('route_not_found', 'this server keeps no ledger')
        return jsonReply(encodePlans(await services.plans.plans(readPlanQuery(query, principal))))
      },
    },
    {
      kind: 'service',
      method: 'GET',
      path: '/metrics',
      scope: 'read',
      handle: async (_incoming, { services, principal }) => {
        if (services.metrics === null) throw new InferdError('route_not_found', 'this server has no metrics')
        return {
          status: 200,
          headers: { 'content-type': services.metrics.contentType },
          body: visibleMetrics(await services.metrics.text(), principal),
        }
      },
    },
    ...INVOCATION_ROUTES,
    ...DEPLOYMENT_ROUTES,
  ],
}
