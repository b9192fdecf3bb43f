/** Every dialect that this server speaks. The first one answers where no path tells: health routes, unknown paths, broken bytes. */
import { assert } from '#base/assert'
import type { ProtocolFamily, ProtocolRoute } from '#server/operation'
import { applicationAutoScalingFamily } from '#server/protocols/application-auto-scaling/routes'
import { anthropicFamily } from '#server/protocols/anthropic/routes'
import { bedrockFamily } from '#server/protocols/bedrock/routes'
import { cloudwatchCborFamily, cloudwatchJsonFamily } from '#server/protocols/cloudwatch/routes'
import { managementFamily } from '#server/protocols/management/routes'
import { oipFamily } from '#server/protocols/oip/routes'
import { openaiFamily } from '#server/protocols/openai/routes'
import { sagemakerFamily } from '#server/protocols/sagemaker/routes'
import { stsFamily } from '#server/protocols/sts/routes'
import { textGenerationRoute } from '#server/protocols/tgi/generate/route'
import { tgiFamily } from '#server/protocols/tgi/routes'

/** Bodies inside SageMaker's envelope are another family's: it is given the routes that read them (docs/decisions/2026-12-01-protocol-seams.md). */
const sagemaker = sagemakerFamily({
  messages: routeOf(openaiFamily, 'generate', '/v1/chat/completions'),
  inputs: textGenerationRoute,
  input: routeOf(openaiFamily, 'embed', '/v1/embeddings'),
})

/** InvokeModel carries the bodies of other families as they are. */
const bedrock = bedrockFamily({
  messages: routeOf(anthropicFamily, 'generate', '/v1/messages').decode,
  chat: routeOf(openaiFamily, 'generate', '/v1/chat/completions').decode,
})

export const PROTOCOL_FAMILIES: readonly ProtocolFamily[] = [
  openaiFamily,
  anthropicFamily,
  bedrock,
  sagemaker,
  tgiFamily,
  oipFamily,
  managementFamily,
  stsFamily,
  applicationAutoScalingFamily,
  cloudwatchJsonFamily,
  cloudwatchCborFamily,
]

function routeOf<Kind extends ProtocolRoute['kind']>(
  { routes }: ProtocolFamily,
  kind: Kind,
  path: string,
): Extract<ProtocolRoute, { readonly kind: Kind }> {
  const found = routes.find((route): route is Extract<ProtocolRoute, { readonly kind: Kind }> => route.kind === kind && route.path === path)
  assert(found !== undefined, `no route ${path}`)
  return found
}
