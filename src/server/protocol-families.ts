/** Every dialect that this server speaks. The first one answers where no path tells: health routes, unknown paths, broken bytes. */
import type { ProtocolFamily } from '#server/operation'
import { anthropicFamily } from '#server/protocols/anthropic/routes'
import { openaiFamily } from '#server/protocols/openai/routes'

export const PROTOCOL_FAMILIES: readonly ProtocolFamily[] = [openaiFamily, anthropicFamily]
