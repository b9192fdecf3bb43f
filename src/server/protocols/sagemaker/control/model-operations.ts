/** CreateModel, DescribeModel, ListModels, DeleteModel. */
import type { ModelDefinition, ModelSource } from '#contract/deployment'
import { Fields, invalid, unsupported } from '#server/fields'
import type { JsonObject } from '#server/operation'
import type { AwsJsonOperation } from '#server/aws-json/answer-operation'
import { CREATE_MODEL, nameMember } from './deployment-members.ts'
import { arnOf, deskFor, need, requireNew, seconds, validated } from './deployments.ts'
import { checkMembers } from '#server/aws-json/member-rules'
import { listMembers, pageOfNamed } from './named-page.ts'
import { keepTags, readTags } from './tags.ts'

const LIST = listMembers([])
/** As the images of TGI and of LMI take the name of a model. */
const MODEL_VARIABLE = 'HF_MODEL_ID'
const KV_VARIABLE = 'INFERD_KV_CACHE_MIB'

export const MODEL_OPERATIONS: Readonly<Record<string, AwsJsonOperation>> = {
  CreateModel: async (body, context) => {
    const desk = deskFor(context, 'operate')
    const model = readModel(body, context.principal.team)
    const tags = readTags(body)
    if (model.source.kind === 'served') needServed(model.source.model, context.models)
    else locate(model.source.uri, context)
    requireNew(await desk.findModel(model.name), 'model', model.name)
    await validated(desk.createModel(model))
    await keepTags(`model/${model.name}`, tags, context)
    return { ModelArn: arnOf('model', model.name) }
  },
  DescribeModel: async (body, context) => {
    checkMembers(body, nameMember('ModelName'))
    const name = String(body['ModelName'])
    return encodeModel(need(await deskFor(context, 'read').findModel(name), 'model', name))
  },
  ListModels: async (body, context) => {
    const models = (await deskFor(context, 'read').listModels()).map((model) => ({ ...model, modifiedMs: model.createdMs, status: '' }))
    const { page, next } = pageOfNamed(models, body, LIST)
    return {
      Models: page.map(({ name, createdMs }) => ({ ModelName: name, ModelArn: arnOf('model', name), CreationTime: seconds(createdMs) })),
      ...next,
    }
  },
  DeleteModel: async (body, context) => {
    checkMembers(body, nameMember('ModelName'))
    const desk = deskFor(context, 'operate')
    const name = String(body['ModelName'])
    need(await desk.findModel(name), 'model', name)
    await validated(desk.deleteModel(name))
    return null
  },
}

/** Throws malformed_body, invalid_parameter and unsupported_parameter. */
function readModel(body: JsonObject, team: string): Omit<ModelDefinition, 'createdMs'> {
  checkMembers(body, CREATE_MODEL)
  const fields = new Fields(body)
  const listed = Object.hasOwn(body, 'Containers') ? (body['Containers'] as readonly JsonObject[]) : []
  const primary = Object.hasOwn(body, 'PrimaryContainer') ? [body['PrimaryContainer'] as JsonObject] : []
  const [container, other] = [...primary, ...listed]
  if (container === undefined) throw invalid('PrimaryContainer', 'PrimaryContainer must be given: it names the model')
  if (other !== undefined) throw unsupported('Containers', 'Containers: a model has one container; pipelines are not offered')
  const environment = (container['Environment'] ?? {}) as Readonly<Record<string, string>>
  return {
    name: fields.requiredText('ModelName'),
    source: sourceOf(container, environment, team),
    kvCacheMib: readKvCache(environment),
    request: body,
  }
}

function sourceOf(container: JsonObject, environment: Readonly<Record<string, string>>, team: string): ModelSource {
  if (container['Mode'] === 'MultiModel')
    throw unsupported('Mode', "Mode MultiModel: name a folder under modelFolders in the server's file, and its models with TargetModel")
  const uri = uriOf(container)
  const model = Object.hasOwn(environment, MODEL_VARIABLE) ? environment[MODEL_VARIABLE] : undefined
  if ((uri === null) === (model === undefined))
    throw invalid(
      'PrimaryContainer',
      `give either ModelDataUrl (or ModelDataSource), or the variable ${MODEL_VARIABLE} with the name of a model of this server`,
    )
  if (model !== undefined) return { kind: 'served', model }
  if (uri?.startsWith('s3://') !== true) throw unsupported('ModelDataUrl', 'ModelDataUrl must be s3://...: nothing is fetched from elsewhere')
  if (/\.(tar|gz|tgz|zip)$/i.test(uri))
    throw unsupported('ModelDataUrl', 'archives are not read: give a .gguf file, or a prefix that ends with / and holds safetensors')
  return { kind: 'object', team, uri }
}

function uriOf(container: JsonObject): string | null {
  const source = container['ModelDataSource'] as { readonly S3DataSource: { readonly S3Uri: string; readonly CompressionType: string } } | undefined
  const url = container['ModelDataUrl'] as string | undefined
  if (source === undefined) return url ?? null
  if (url !== undefined) throw invalid('ModelDataSource', 'ModelDataUrl and ModelDataSource say the same; give one')
  if (source.S3DataSource.CompressionType !== 'None') throw unsupported('CompressionType', 'CompressionType must be None')
  return source.S3DataSource.S3Uri
}

function readKvCache(environment: Readonly<Record<string, string>>): number | null {
  const text = Object.hasOwn(environment, KV_VARIABLE) ? environment[KV_VARIABLE] : undefined
  if (text === undefined) return null
  if (!/^[1-9]\d{0,7}$/.test(text)) throw invalid(KV_VARIABLE, `${KV_VARIABLE} must be a number of MiB`)
  return Number(text)
}

function needServed(model: string, models: readonly { readonly name: string }[]): void {
  if (models.some(({ name }) => name === model)) return
  throw invalid(MODEL_VARIABLE, `this server has no model '${model.slice(0, 128)}'`)
}

function locate(uri: string, { services: { objects }, principal }: Parameters<AwsJsonOperation>[1]): void {
  if (objects === null) throw unsupported('ModelDataUrl', 'this server has no objects')
  objects.locate(principal.team, uri)
}

function encodeModel({ name, request, createdMs }: ModelDefinition): object {
  const { Tags: _tags, ...shown } = request
  return { ...shown, ModelName: name, ModelArn: arnOf('model', name), CreationTime: seconds(createdMs) }
}
