/** What the server sees of a model: a name it can call, whatever stands behind it. */
export type { ModelDirectory, ModelLoad, ServedModel, ServedModelState } from '#contract/served-model'
