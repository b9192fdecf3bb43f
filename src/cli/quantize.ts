/** `inferd quantize SOURCE TARGET SCHEME`: a smaller GGUF file, with the error that each tensor pays. */
import { InferdError } from '#contract/errors'
import { quantizeModel } from '#engine/weights/quantize/quantize-model'
import { SCHEMES } from '#engine/weights/quantize/tensor-scheme'
import { formatBytes } from './progress-bar.ts'

export async function quantize(sourcePath: string, targetPath: string, schemeName: string, signal: AbortSignal): Promise<void> {
  const scheme = SCHEMES.find((candidate) => candidate === schemeName.toLowerCase())
  if (scheme === undefined)
    throw new InferdError('invalid_parameter', `scheme must be one of ${SCHEMES.join(', ')}, not '${schemeName}'`, { param: 'scheme' })
  const report = await quantizeModel({
    sourcePath,
    targetPath,
    scheme,
    signal,
    onProgress: (tensor, index, numTensors) => {
      const error = `relative error ${tensor.relativeRmse.toExponential(1)}`
      process.stderr.write(`[${index + 1}/${numTensors}] ${tensor.name}  ${tensor.from} -> ${tensor.to}  ${error}\n`)
    },
  })
  process.stdout.write(`${targetPath}: ${formatBytes(report.sourceBytes)} -> ${formatBytes(report.targetBytes)}\n`)
}
