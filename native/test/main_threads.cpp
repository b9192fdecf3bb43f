// The pool and the executor, for the thread sanitizer. The kernels are plain loops that touch the rows that real ones touch:
// what is looked at is who reads and writes when, and these compile in a moment.
#include <cstdio>

#include "kernel_table.h"
#include "pack/pack_rows.h"
#include "suites.h"

using namespace inferd;

static void toy_matmul(const MatmulTask& task) {
  const PackedMatrix& m = *task.weight;
  const int32_t rowEnd = task.panelEnd * kPanelRows < m.numRows ? task.panelEnd * kPanelRows : m.numRows;
  for (int32_t t = task.tokenBegin; t < task.tokenEnd; t++) {
    float sum = 0;
    for (int32_t c = 0; c < m.numColumns; c++) {
      const int32_t group = t / kActTokens * (m.numColumns / kGroupColumns) + c / kGroupColumns;
      sum += task.act == nullptr ? task.x.row(t)[c] : task.act[group].d[t % kActTokens];
    }
    for (int32_t row = task.panelBegin * kPanelRows; row < rowEnd; row++) {
      const float residual = task.hasResidual ? task.residual.row(t)[row] : 0.0f;
      task.out.row(t)[row] = sum * static_cast<float>(m.panel(row / kPanelRows)[row % kPanelRows]) * 1e-4f + residual;
    }
  }
}

static void toy_quantize(Rows x, int32_t width, int32_t rowBegin, int32_t rowEnd, ActGroup* act) {
  for (int32_t row = rowBegin; row < rowEnd; row++)
    for (int32_t g = 0; g < width / kGroupColumns; g++) act[row / kActTokens * (width / kGroupColumns) + g].d[row % kActTokens] = x.row(row)[g * kGroupColumns];
}

static float* toy_values(const KvLayer& kv, int32_t block, int32_t offset, int32_t head) {
  return reinterpret_cast<float*>(kv.base + block * kv.blockBytes) + (head * kv.blockSize + offset) * (kv.headDim + kv.headDimPadded);
}

static void toy_kv_write(const KvLayer& kv, Rows k, Rows v, const int32_t* slots, int32_t rowBegin, int32_t rowEnd) {
  for (int32_t row = rowBegin; row < rowEnd; row++)
    for (int32_t head = 0; head < kv.numKvHeads; head++) {
      float* at = toy_values(kv, slots[row] / kv.blockSize, slots[row] % kv.blockSize, head);
      for (int32_t i = 0; i < kv.headDim; i++) at[i] = k.row(row)[head * kv.headDim + i] + v.row(row)[head * kv.headDim + i];
    }
}

static void toy_attention(const AttentionTask& task) {
  const int32_t group = task.numHeads / task.kv.numKvHeads, headDim = task.kv.headDim;
  for (int32_t t = task.tokenBegin; t < task.tokenEnd; t++)
    for (int32_t i = 0; i < group * headDim; i++) {
      const int32_t position = task.firstPosition + t - task.tokenBegin;
      task.scratch[0] = task.q.row(t)[task.kvHead * group * headDim + i];
      for (int32_t p = 0; p <= position; p++)
        task.scratch[0] += 0.01f * toy_values(task.kv, task.blockTable[p / task.kv.blockSize], p % task.kv.blockSize, task.kvHead)[i % headDim];
      task.out.row(t)[task.kvHead * group * headDim + i] = task.scratch[0];
    }
}

static void toy_add(Rows a, Rows b, Rows out, int32_t width, int32_t rowBegin, int32_t rowEnd) {
  for (int32_t row = rowBegin; row < rowEnd; row++)
    for (int32_t i = 0; i < width; i++) out.row(row)[i] = a.row(row)[i] + b.row(row)[i];
}

int main() {
  test::test_pool();
  KernelTable kernels = {};
  kernels.name = "toy";
  for (auto& matmul : kernels.matmul) matmul = toy_matmul;
  kernels.quantizeRows = toy_quantize;
  kernels.kvWrite = toy_kv_write;
  kernels.attention = toy_attention;
  kernels.addRows = toy_add;
  test::test_executor(kernels);
  std::printf("ok\n");
  return 0;
}
