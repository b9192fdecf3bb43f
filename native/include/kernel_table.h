// Every kernel that exists once per ISA, as one table of function pointers. Who calls: the executor, through the table
// that dispatch picked. All pointers may be unaligned unless said otherwise; shapes were checked when the program was bound.
#pragma once
#include <cstdint>

#include "kv_layer.h"
#include "packed_format.h"

namespace inferd {

/** An f32 activation: row r starts at data + r * stride. */
struct Rows {
  float* data;
  int64_t stride;
  float* row(int64_t r) const { return data + r * stride; }
};

/** out[t][n] = sum_k x[t][k] w[n][k] (+ bias[n]) (+ residual[t][n]) for panels [panelBegin, panelEnd) and tokens [tokenBegin, tokenEnd). */
struct MatmulTask {
  const PackedMatrix* weight;
  /** Float formats read x, quantized formats read act (tile 0 = tokens 0..7). */
  Rows x;
  const ActGroup* act;
  Rows out;
  const float* bias;
  Rows residual;
  bool hasResidual;
  int32_t panelBegin, panelEnd, tokenBegin, tokenEnd;
};

/**
 * New tokens [tokenBegin, tokenEnd) (rows of the step) of one sequence against one KV head. Positions are taken in spans of kAttentionSpan, each
 * with its own sums, added up in order: who computes which span changes no bit.
 */
struct AttentionTask {
  KvLayer kv;
  Rows q, out;
  int32_t numHeads, kvHead;
  int32_t tokenBegin, tokenEnd;
  /** Absolute position of tokenBegin; the others follow. */
  int32_t firstPosition;
  const int32_t* blockTable;
  float scale, softcap;
  /** 0 = none. */
  int32_t window;
  /** The spans to be computed; all of them where spanStates is null. */
  int32_t spanBegin, spanEnd;
  /** Null: `out` is written. Otherwise the states of the spans go here, attention_state_floats(rows) apart, for mergeSpans. */
  float* spanStates;
  /** f32 scratch of the calling thread, attention_scratch_floats() long, 64-byte aligned. */
  float* scratch;

  int32_t num_rows() const { return (tokenEnd - tokenBegin) * (numHeads / kv.numKvHeads); }
};

struct KernelTable {
  const char* name;
  void (*matmul[static_cast<int>(Format::count)])(const MatmulTask& task);
  /** x (rows, width) -> act lanes of the same rows; width a multiple of 32. */
  void (*quantizeRows)(Rows x, int32_t width, int32_t rowBegin, int32_t rowEnd, ActGroup* act);
  /** Groups of groupWidth columns; in place when out = x. */
  void (*rmsNorm)(Rows x, Rows out, int32_t width, int32_t groupWidth, float epsilon, const float* weight, int32_t rowBegin, int32_t rowEnd);
  /** In place. cosSin: (rows of the step, 2, rotaryDim / 2). */
  void (*rope)(Rows x, int32_t width, int32_t headDim, int32_t rotaryDim, bool interleaved, const float* cosSin, int32_t rowBegin, int32_t rowEnd);
  void (*kvWrite)(const KvLayer& kv, Rows k, Rows v, const int32_t* slots, int32_t rowBegin, int32_t rowEnd);
  void (*attention)(const AttentionTask& task);
  /** Adds up the states of the spans [spanBegin, spanEnd) and writes `out`. */
  void (*mergeSpans)(const AttentionTask& task);
  void (*gatedActivation)(Rows gate, Rows up, Rows out, int32_t width, bool isGelu, int32_t rowBegin, int32_t rowEnd);
  void (*addRows)(Rows a, Rows b, Rows out, int32_t width, int32_t rowBegin, int32_t rowEnd);
  void (*softcapRows)(Rows x, int32_t width, float cap, int32_t rowBegin, int32_t rowEnd);
};

/** Query rows that one attention task may hold: its tokens times the heads of its KV head. */
constexpr int kAttentionRows = 64;
/** Positions whose scores are taken together; they begin at multiples of it. */
constexpr int kAttentionTile = 64;
/** Positions that share sums, a multiple of the tile; they begin at multiples of it. */
constexpr int kAttentionSpan = 512;

/** Of a row: weighted sums of values, sixteen partial sums of weights, the maximum of its scores (one of sixteen floats). */
constexpr int32_t attention_state_stride(int32_t headDimPadded) { return headDimPadded + 32; }
constexpr int64_t attention_state_floats(int32_t numRows, int32_t headDimPadded) { return static_cast<int64_t>(numRows) * attention_state_stride(headDimPadded); }
/** Scratch floats of one attention task: see Scratch in attention.cpp. */
constexpr int64_t attention_scratch_floats(int32_t headDimPadded) {
  return 2 * attention_state_floats(kAttentionRows, headDimPadded) + 8 * kAttentionTile + kAttentionRows * static_cast<int64_t>(headDimPadded) +
         2 * kAttentionTile * static_cast<int64_t>(headDimPadded) + kAttentionTile * static_cast<int64_t>(num_kv_groups(headDimPadded));
}

namespace scalar { const KernelTable& kernel_table(); }
namespace avx2 { const KernelTable& kernel_table(); }
namespace avx512 { const KernelTable& kernel_table(); }
namespace neon { const KernelTable& kernel_table(); }

}  // namespace inferd
