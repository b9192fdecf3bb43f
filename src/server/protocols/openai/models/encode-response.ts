/** Models as OpenAI lists them. */
import type { ModelCard } from '#server/operation'
import type { WireModel, WireModelList } from './wire-types.ts'

export function encodeModel(card: ModelCard): WireModel {
  return { id: card.name, object: 'model', created: card.createdSeconds, owned_by: 'inferd' }
}

export function encodeModelList(cards: readonly ModelCard[]): WireModelList {
  return { object: 'list', data: cards.map(encodeModel) }
}
