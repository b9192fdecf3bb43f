// Matmul with f32, f16 or bf16 weights: f32 multiply-adds down the columns, sixteen rows a register. Sums are taken in
// runs of 256 columns and the runs added up: shorter chains round less, and the order is the same for any batch.
#include "dispatch/kernel_entries.h"
#include "simd/simd.h"

namespace inferd {
namespace {

constexpr int kRunColumns = 256;

template <Format FORMAT> inline f32x16 load_column(const uint8_t* p) {
  if constexpr (FORMAT == Format::f32) return f_load(reinterpret_cast<const float*>(p));
  else if constexpr (FORMAT == Format::f16) return f_load_f16(reinterpret_cast<const uint16_t*>(p));
  else return f_load_bf16(reinterpret_cast<const uint16_t*>(p));
}

template <Format FORMAT, int TOKENS, int PANELS> inline void tile(const MatmulTask& task, int32_t panel, int32_t token) {
  constexpr size_t kColumnBytes = FORMAT == Format::f32 ? 64 : 32;
  const PackedMatrix& m = *task.weight;
  const uint8_t* w[PANELS];
  for (int p = 0; p < PANELS; p++) w[p] = m.panel(panel + p);
  const float* x[TOKENS];
  for (int t = 0; t < TOKENS; t++) x[t] = task.x.row(token + t);
  f32x16 total[PANELS][TOKENS];
  for (int p = 0; p < PANELS; p++)
    for (int t = 0; t < TOKENS; t++) total[p][t] = f_zero();
  for (int32_t run = 0; run < m.numColumns; run += kRunColumns) {
    const int32_t end = run + kRunColumns < m.numColumns ? run + kRunColumns : m.numColumns;
    f32x16 acc[PANELS][TOKENS];
    for (int p = 0; p < PANELS; p++)
      for (int t = 0; t < TOKENS; t++) acc[p][t] = f_zero();
    for (int32_t c = run; c < end; c++) {
      for (int p = 0; p < PANELS; p++) {
        const uint8_t* at = w[p] + static_cast<size_t>(c) * kColumnBytes;
        prefetch(at + 2048);
        const f32x16 column = load_column<FORMAT>(at);
        for (int t = 0; t < TOKENS; t++) acc[p][t] = f_fma(column, f_set(x[t][c]), acc[p][t]);
      }
    }
    for (int p = 0; p < PANELS; p++)
      for (int t = 0; t < TOKENS; t++) total[p][t] = f_add(total[p][t], acc[p][t]);
  }
  for (int p = 0; p < PANELS; p++) {
    const int32_t row = (panel + p) * kPanelRows;
    const int32_t n = m.numRows - row < kPanelRows ? m.numRows - row : kPanelRows;
    for (int t = 0; t < TOKENS; t++) {
      f32x16 v = total[p][t];
      if (task.bias != nullptr) v = f_add(v, f_load_n(task.bias + row, n));
      if (task.hasResidual) v = f_add(v, f_load_n(task.residual.row(token + t) + row, n));
      f_store_n(task.out.row(token + t) + row, v, n);
    }
  }
}

template <Format FORMAT, int PANELS> inline void panel_tokens(const MatmulTask& task, int32_t panel) {
  int32_t token = task.tokenBegin;
  for (; kFloatTokenTile >= 8 && task.tokenEnd - token >= 8; token += 8) tile<FORMAT, (kFloatTokenTile >= 8 ? 8 : 1), PANELS>(task, panel, token);
  for (; task.tokenEnd - token >= 4; token += 4) tile<FORMAT, 4, PANELS>(task, panel, token);
  for (; task.tokenEnd - token >= 2; token += 2) tile<FORMAT, 2, PANELS>(task, panel, token);
  for (; token < task.tokenEnd; token++) tile<FORMAT, 1, PANELS>(task, panel, token);
}

template <Format FORMAT> void run(const MatmulTask& task) {
  int32_t panel = task.panelBegin;
  // Two panels hide the multiply-add's latency when there are few tokens.
  for (; task.tokenEnd - task.tokenBegin < 8 && panel + 2 <= task.panelEnd; panel += 2) panel_tokens<FORMAT, 2>(task, panel);
  for (; panel < task.panelEnd; panel++) panel_tokens<FORMAT, 1>(task, panel);
}

}  // namespace
}  // namespace inferd

namespace inferd::INFERD_ISA {

MatmulFn matmul_float(Format format) {
  switch (format) {
    case Format::f32: return run<Format::f32>;
    case Format::f16: return run<Format::f16>;
    case Format::bf16: return run<Format::bf16>;
    default: return nullptr;
  }
}

}  // namespace inferd::INFERD_ISA
