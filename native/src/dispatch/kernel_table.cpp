// Compiled once per ISA: the table of that ISA's kernels.
#include "kernel_table.h"

#include "dispatch/kernel_entries.h"

#define INFERD_STRING_OF(name) #name
#define INFERD_STRING(name) INFERD_STRING_OF(name)

namespace inferd::INFERD_ISA {

static KernelTable make_table() {
  KernelTable table = {};
  table.name = INFERD_STRING(INFERD_ISA);
  for (int i = 0; i < static_cast<int>(Format::count); i++) {
    const Format format = static_cast<Format>(i);
    table.matmul[i] = !is_quantized(format) ? matmul_float(format) : traits_of(format).isK ? matmul_k_scales(format) : matmul_plain_scales(format);
  }
  table.quantizeRows = quantize_rows;
  table.rmsNorm = rms_norm;
  table.rope = rope;
  table.kvWrite = kv_write;
  table.attention = attention;
  table.mergeSpans = merge_spans;
  table.gatedActivation = gated_activation;
  table.addRows = add_rows;
  table.softcapRows = softcap_rows;
  return table;
}

const KernelTable& kernel_table() {
  static const KernelTable table = make_table();
  return table;
}

}  // namespace inferd::INFERD_ISA
