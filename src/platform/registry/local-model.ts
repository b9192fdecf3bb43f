/** A model of this machine with the workers behind it: one, or a set of them. */
import type { ReplicaOptions } from '#platform/replicas/replica'
import { ReplicaModel } from './replica-model.ts'
import { ReplicaSet } from './replica-set.ts'
import type { ServedModel } from './served-model.ts'

export interface LocalModel {
  readonly served: ServedModel
  readonly members: readonly ReplicaModel[]
}

/**
 * A worker for each of the options; one alone stands for itself, without a set around it. None runs yet. `isMember`: a set outside of it sends
 * calls elsewhere when its worker is lost, at once.
 */
export function makeLocalModel(name: string, options: readonly ReplicaOptions[], { isMember = false } = {}): LocalModel {
  const members = options.map((one) => new ReplicaModel(name, one, { forgives: options.length === 1 && !isMember, waits: !isMember }))
  const [only] = members
  return { served: members.length === 1 && only !== undefined ? only : new ReplicaSet(name, members), members }
}
