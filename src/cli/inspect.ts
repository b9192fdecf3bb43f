/** `inferd inspect FILE`: what is in a model file, as a table or as JSON. */
import { inspectModelFile, type ModelInspection } from '#engine/weights/inspect'
import { formatBytes } from './progress-bar.ts'

export async function inspect(path: string, asJson: boolean): Promise<void> {
  const inspection = await inspectModelFile(path)
  process.stdout.write(asJson ? `${JSON.stringify(inspection, null, 2)}\n` : describe(inspection))
}

function describe(inspection: ModelInspection): string {
  const { totals } = inspection
  const version = inspection.version === null ? '' : ` v${inspection.version}`
  return [
    `${inspection.format}${version}, architecture ${inspection.architecture ?? 'unknown'}`,
    ...inspection.files.map((file) => `  ${file.name}  ${formatBytes(file.byteLength)}`),
    '',
    [
      `${totals.numTensors} tensors`,
      millions(totals.parameters),
      formatBytes(totals.tensorBytes),
      `${totals.bitsPerWeight.toFixed(2)} bits per weight`,
    ].join(', '),
    ...table(inspection.dtypes.map((row) => [`  ${row.dtype}`, `${row.numTensors} tensors`, millions(row.parameters), formatBytes(row.byteLength)])),
    '',
    'metadata',
    ...table(inspection.metadata.map((row) => [`  ${row.key}`, row.kind, row.value])),
    '',
    'tensors',
    ...table(inspection.tensors.map((row) => [`  ${row.name}`, row.dtype, row.shape.join(' x '), formatBytes(row.byteLength)])),
    '',
  ].join('\n')
}

function millions(parameters: number): string {
  return `${(parameters / 1e6).toFixed(1)} M parameters`
}

/** Columns as wide as their widest cell; the last one is free. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  '))
}
