/** `GET /v1/models` and `GET /v1/models/{id}` as they look on the wire. Source: the OpenAI API reference, models. */
export interface WireModel {
  readonly id: string
  readonly object: 'model'
  readonly created: number
  readonly owned_by: string
}

export interface WireModelList {
  readonly object: 'list'
  readonly data: readonly WireModel[]
}
