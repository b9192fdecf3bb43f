// Causal attention of a few new tokens over the paged cache of one KV head, all its query heads together, with an online
// softmax (Milakov and Gimelshein 2018, arXiv:1805.02867; tiles as in FlashAttention, arXiv:2205.14135).
//
// Positions are walked in tiles of 64 within spans of 512, whatever the batch: a row's sums are taken in the same order
// alone, in a chunk, among other sequences, or span by span on several threads. A "row" is one query head of one token.
#include "attention/attend_rows.h"

#include <string.h>

#include "dispatch/kernel_entries.h"

namespace inferd {
namespace {

/** Tasks of more rows than this read a tile so often that it pays to widen it first. */
constexpr int kMaxDirectRows = kRowTile;

/** Scratch of one task, in this order. */
struct Scratch {
  /** States of the rows: of all spans so far, and of the current span. */
  float *total, *span;
  /** (8, 64). */
  float* scores;
  /** (headDim, numRows). */
  float* queries;
  /** A tile's keys and values in f32, and the scales of its values. */
  float *widened, *valueScales;
};

inline Scratch lay_out_scratch(const AttentionTask& task) {
  const int64_t stateFloats = attention_state_floats(kAttentionRows, task.kv.headDimPadded), padded = task.kv.headDimPadded;
  Scratch scratch;
  scratch.total = task.scratch;
  scratch.span = scratch.total + stateFloats;
  scratch.scores = scratch.span + stateFloats;
  scratch.queries = scratch.scores + 8 * kTile;
  scratch.widened = scratch.queries + kAttentionRows * padded;
  scratch.valueScales = scratch.widened + 2 * kTile * padded;
  return scratch;
}

inline void clear_states(float* states, int32_t numRows, int32_t padded) {
  const int32_t stride = attention_state_stride(padded);
  memset(states, 0, sizeof(float) * static_cast<size_t>(attention_state_floats(numRows, padded)));
  for (int32_t row = 0; row < numRows; row++) states[row * stride + padded + 16] = -INFINITY;
}

/** The heads of one position read [first, position]. */
inline int32_t first_of(const AttentionTask& task, int32_t position) { return task.window > 0 && position >= task.window ? position - task.window + 1 : 0; }

/** Rows that read any of the positions [start, start + count): they are neighbours. */
struct RowRange {
  int32_t begin, end;
};

inline RowRange rows_reaching(const AttentionTask& task, int32_t start, int32_t count) {
  const int32_t group = task.numHeads / task.kv.numKvHeads, numTokens = task.tokenEnd - task.tokenBegin;
  const int32_t begin = start > task.firstPosition ? start - task.firstPosition : 0;
  int32_t end = numTokens;
  if (task.window > 0) {
    const int64_t last = static_cast<int64_t>(start) + count - 2 + task.window - task.firstPosition;
    end = last + 1 < numTokens ? static_cast<int32_t>(last + 1) : numTokens;
  }
  return {begin * group, end * group};
}

inline void turn_queries(const AttentionTask& task, int32_t numRows, float* queries) {
  const int32_t group = task.numHeads / task.kv.numKvHeads, headDim = task.kv.headDim;
  const float factor = task.softcap > 0.0f ? task.scale : task.scale * kLog2E;
  for (int32_t row = 0; row < numRows; row++) {
    const float* q = task.q.row(task.tokenBegin + row / group) + (static_cast<int64_t>(task.kvHead) * group + row % group) * headDim;
    for (int32_t d = 0; d < headDim; d++) queries[static_cast<int64_t>(d) * numRows + row] = q[d] * factor;
  }
}

/** The rows that reach the tile at `start`, kRowTile (then 4, 2, 1) at a time. next: the tile that follows in the cache, which is asked for meanwhile. */
template <typename ELEMENT, typename STORED>
inline void attend_tile(const AttentionTask& task, const Scratch& scratch, float* states, int32_t start, const CachedTile<ELEMENT>& tile,
                        const CachedTile<STORED>& next) {
  const int32_t group = task.numHeads / task.kv.numKvHeads, numRows = task.num_rows(), stride = attention_state_stride(task.kv.headDimPadded);
  const RowRange range = rows_reaching(task, start, kTile);
  for (int32_t row = range.begin; row < range.end;) {
    RowBlock block = {scratch.queries + row, numRows, states + static_cast<int64_t>(row) * stride, scratch.scores, {}, {}};
    const int32_t left = range.end - row, count = left >= kRowTile ? kRowTile : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    for (int32_t r = 0; r < count; r++) {
      const int32_t position = task.firstPosition + (row + r) / group, first = first_of(task, position);
      block.from[r] = first > start ? first - start : 0;
      block.to[r] = position + 1 - start < kTile ? position + 1 - start : kTile;
    }
    CachedTile<ELEMENT> ahead = {};
    if constexpr (kAsksWhileReading<ELEMENT>) ahead = next;
    else if (row + kRowTile <= range.end) prefetch_share(task.kv, next, (row - range.begin) / kRowTile, (range.end - range.begin) / kRowTile);
    if (count == kRowTile) attend_rows<ELEMENT, kRowTile>(task, block, tile, ahead);
    else if (count == 4) attend_rows<ELEMENT, 4>(task, block, tile, ahead);
    else if (count == 2) attend_rows<ELEMENT, 2>(task, block, tile, ahead);
    else attend_rows<ELEMENT, 1>(task, block, tile, ahead);
    row += count;
  }
}

/** States of the rows over the positions [begin, end) of one span. */
template <typename ELEMENT> inline void attend_span(const AttentionTask& task, const Scratch& scratch, int32_t begin, int32_t end, float* states) {
  clear_states(states, task.num_rows(), task.kv.headDimPadded);
  const bool isWhole = task.kv.keyTile == kSubTile, isWidened = !isWhole || task.num_rows() > kMaxDirectRows;
  const auto end_of = [&](int32_t start) { return end < start + kTile ? end : start + kTile; };
  const int32_t first = first_of(task, task.firstPosition);
  for (int32_t start = first > begin ? first / kTile * kTile : begin; start < end; start += kTile) {
    const bool hasNext = isWhole && start + kTile < end;
    const CachedTile<ELEMENT> next = hasNext ? find_tile<ELEMENT>(task, start + kTile, end_of(start + kTile), nullptr) : CachedTile<ELEMENT>{};
    if (isWidened) attend_tile(task, scratch, states, start, widen_tile<ELEMENT>(task, start, end_of(start), scratch.widened, scratch.valueScales), next);
    else attend_tile(task, scratch, states, start, find_tile<ELEMENT>(task, start, end_of(start), scratch.valueScales), next);
  }
}

/** total += span, for the rows of the range. */
inline void add_states(float* total, const float* span, RowRange range, int32_t padded) {
  const int32_t stride = attention_state_stride(padded);
  for (int32_t row = range.begin; row < range.end; row++) {
    float* to = total + static_cast<int64_t>(row) * stride;
    const float* from = span + static_cast<int64_t>(row) * stride;
    const float before = to[padded + 16], added = from[padded + 16], top = added > before ? added : before;
    const f32x16 keep = f_exp2(f_set(before - top)), take = f_exp2(f_set(added - top));
    for (int32_t i = 0; i < padded + 16; i += 16) f_store(to + i, f_fma(f_load(from + i), take, f_mul(f_load(to + i), keep)));
    to[padded + 16] = top;
  }
}

inline void write_outputs(const AttentionTask& task, const float* states) {
  const int32_t group = task.numHeads / task.kv.numKvHeads, headDim = task.kv.headDim, padded = task.kv.headDimPadded;
  for (int32_t row = 0; row < task.num_rows(); row++) {
    const float* from = states + static_cast<int64_t>(row) * attention_state_stride(padded);
    float* to = task.out.row(task.tokenBegin + row / group) + (static_cast<int64_t>(task.kvHead) * group + row % group) * headDim;
    const f32x16 total = f_set(f_sum(f_load(from + padded)));
    for (int32_t i = 0; i < headDim; i += 16) f_store_n(to + i, f_div(f_load(from + i), total), headDim - i < 16 ? headDim - i : 16);
  }
}

template <typename ELEMENT> inline void run(const AttentionTask& task) {
  const Scratch scratch = lay_out_scratch(task);
  const int32_t numRows = task.num_rows(), padded = task.kv.headDimPadded, end = task.firstPosition + task.tokenEnd - task.tokenBegin;
  turn_queries(task, numRows, scratch.queries);
  const auto end_of = [&](int32_t span) { return (span + 1) * kAttentionSpan < end ? (span + 1) * kAttentionSpan : end; };
  if (task.spanStates != nullptr) {
    for (int32_t span = task.spanBegin; span < task.spanEnd; span++)
      attend_span<ELEMENT>(task, scratch, span * kAttentionSpan, end_of(span), task.spanStates + (span - task.spanBegin) * attention_state_floats(numRows, padded));
    return;
  }
  clear_states(scratch.total, numRows, padded);
  for (int32_t span = first_of(task, task.firstPosition) / kAttentionSpan; span * kAttentionSpan < end; span++) {
    attend_span<ELEMENT>(task, scratch, span * kAttentionSpan, end_of(span), scratch.span);
    add_states(scratch.total, scratch.span, rows_reaching(task, span * kAttentionSpan, kAttentionSpan), padded);
  }
  write_outputs(task, scratch.total);
}

}  // namespace
}  // namespace inferd

namespace inferd::INFERD_ISA {

void attention(const AttentionTask& task) {
  switch (task.kv.type) {
    case KvType::f16: return run<uint16_t>(task);
    case KvType::q8_0: return run<int8_t>(task);
    default: return run<float>(task);
  }
}

void merge_spans(const AttentionTask& task) {
  const int32_t numRows = task.num_rows(), padded = task.kv.headDimPadded;
  const int64_t stateFloats = attention_state_floats(numRows, padded);
  clear_states(task.scratch, numRows, padded);
  for (int32_t span = task.spanBegin; span < task.spanEnd; span++)
    add_states(task.scratch, task.spanStates + (span - task.spanBegin) * stateFloats, rows_reaching(task, span * kAttentionSpan, kAttentionSpan), padded);
  write_outputs(task, task.scratch);
}

}  // namespace inferd::INFERD_ISA
