// ROWS query rows against one tile of positions. A row's sums are taken in one order whatever ROWS is: scores over ascending dimensions, values over
// ascending positions. Scores are in powers of two (the queries hold scale * log2 e), so that a weight is 2^(score - maximum).
#pragma once
#include "attention/cached_tile.h"
#include "softcap/softcap.h"

#include <math.h>

#include <type_traits>

namespace inferd {
namespace {

constexpr float kLog2E = 1.44269504088896341f;
/** Rows that share each key and value read, and registers for their sums. */
constexpr int kRowTile = kFloatTokenTile;
constexpr int kSumRegisters = kFloatTokenTile == 8 ? 16 : 4;

/** Narrow elements are read by one block of rows: the next tile is asked for line by line. The others read a widened tile several times. */
template <typename ELEMENT> constexpr bool kAsksWhileReading = !std::is_same_v<ELEMENT, float>;

/** Where ROWS neighbouring rows of a task have their things. */
struct RowBlock {
  /** Query element (d, r) at queries[d * queryStride + r], r = 0 being the block's first row. */
  const float* queries;
  int32_t queryStride;
  /** States of the rows, attention_state_stride() apart: see kernel_table.h. */
  float* states;
  /** Scratch, (kRowTile, 64). */
  float* scores;
  /** Positions of the tile that each row reads, [from, to), not empty. */
  int32_t from[kRowTile], to[kRowTile];
};

/** Scores of ROWS rows with SUBS sub-tiles from `first` on, while the keys of the next tile are asked for. */
template <typename ELEMENT, int ROWS, int SUBS>
inline void score_sub_tiles(const RowBlock& block, const CachedTile<ELEMENT>& tile, const CachedTile<ELEMENT>& next, int first, int32_t headDim) {
  constexpr int kStep = 4;
  f32x16 acc[SUBS][ROWS], scale[SUBS];
  const ELEMENT *keys[SUBS], *ahead[SUBS];
  for (int u = 0; u < SUBS; u++) {
    keys[u] = tile.keys[first + u];
    ahead[u] = next.keys[first + u] == nullptr ? keys[u] : next.keys[first + u];
    scale[u] = f_zero();
    for (int r = 0; r < ROWS; r++) acc[u][r] = f_zero();
  }
  const float* q = block.queries;
  const auto advance = [&](int32_t d) {
    f32x16 key[SUBS];
    for (int u = 0; u < SUBS; u++) {
      key[u] = load_lanes(keys[u] + d * kSubTile);
      if constexpr (has_scales<ELEMENT>) key[u] = f_mul(key[u], scale[u]);
    }
    for (int r = 0; r < ROWS; r++) {
      const f32x16 query = f_set(q[r]);
      for (int u = 0; u < SUBS; u++) acc[u][r] = f_fma(key[u], query, acc[u][r]);
    }
    q += block.queryStride;
  };
  int32_t d = 0;
  for (; d + kStep <= headDim; d += kStep) {
    if constexpr (has_scales<ELEMENT>)
      if (d % kKvGroup == 0)
        for (int u = 0; u < SUBS; u++) scale[u] = f_load_f16(tile.keyScales[first + u] + d / kKvGroup * kSubTile);
    if constexpr (kAsksWhileReading<ELEMENT>)
      for (int u = 0; u < SUBS; u++) prefetch_elements(ahead[u] + d * kSubTile, kStep * kSubTile);
    for (int i = 0; i < kStep; i++) advance(d + i);
  }
  if constexpr (has_scales<ELEMENT>)
    if (d % kKvGroup == 0 && d < headDim)
      for (int u = 0; u < SUBS; u++) scale[u] = f_load_f16(tile.keyScales[first + u] + d / kKvGroup * kSubTile);
  for (; d < headDim; d++) advance(d);
  for (int u = 0; u < SUBS; u++)
    for (int r = 0; r < ROWS; r++) f_store(block.scores + r * kTile + (first + u) * kSubTile, acc[u][r]);
}

template <typename ELEMENT, int ROWS>
inline void score_rows(const RowBlock& block, const CachedTile<ELEMENT>& tile, const CachedTile<ELEMENT>& next, int subFrom, int subTo, int32_t headDim) {
  constexpr int kSubs = kSumRegisters / ROWS > kSubTiles ? kSubTiles : kSumRegisters / ROWS;
  int s = subFrom;
  for (; s + kSubs <= subTo; s += kSubs) score_sub_tiles<ELEMENT, ROWS, kSubs>(block, tile, next, s, headDim);
  for (; s < subTo; s++) score_sub_tiles<ELEMENT, ROWS, 1>(block, tile, next, s, headDim);
}

inline int clamp_lane(int32_t lane) { return lane < 0 ? 0 : lane > kSubTile ? kSubTile : lane; }

/** A row's score registers of the sub-tiles [subFrom, subTo), which become weights against the row's maximum; its sums are rescaled when that rises. */
inline void soften_lanes(f32x16* s, int subFrom, int subTo, float* scores, float* state, int32_t padded) {
  float *sums = state + padded, *maximum = sums + 16;
  f32x16 best = s[subFrom];
  for (int i = subFrom + 1; i < subTo; i++) best = f_max(best, s[i]);
  f32x16 sum = f_load(sums);
  if (f_any_greater(best, *maximum)) {
    const float top = f_max_lane(best);
    const f32x16 shrink = f_exp2(f_set(*maximum - top));
    *maximum = top;
    sum = f_mul(sum, shrink);
    for (int32_t i = 0; i < padded; i += 16) f_store(state + i, f_mul(f_load(state + i), shrink));
  }
  const f32x16 top = f_set(*maximum);
  for (int i = subFrom; i < subTo; i++) {
    const f32x16 p = f_exp2(f_sub(s[i], top));
    sum = f_add(sum, p);
    f_store(scores + i * kSubTile, p);
  }
  f_store(sums, sum);
}

/** The same of row r of the block, from the stored scores. */
inline void soften_row(const AttentionTask& task, const RowBlock& block, int r) {
  const int32_t from = block.from[r], to = block.to[r], padded = task.kv.headDimPadded;
  float* scores = block.scores + r * kTile;
  float* state = block.states + static_cast<int64_t>(r) * attention_state_stride(padded);
  f32x16 s[kSubTiles];
  if (from == 0 && to == kTile && task.softcap <= 0.0f) {
    for (int i = 0; i < kSubTiles; i++) s[i] = f_load(scores + i * kSubTile);
    return soften_lanes(s, 0, kSubTiles, scores, state, padded);
  }
  const int subFrom = from / kSubTile, subTo = (to + kSubTile - 1) / kSubTile;
  for (int i = subFrom; i < subTo; i++) {
    s[i] = f_load(scores + i * kSubTile);
    if (task.softcap > 0.0f) s[i] = f_mul(softcap_lanes(s[i], task.softcap), f_set(kLog2E));
    s[i] = f_keep_range(s[i], clamp_lane(from - i * kSubTile), clamp_lane(to - i * kSubTile), -INFINITY);
  }
  soften_lanes(s, subFrom, subTo, scores, state, padded);
}

/** Adds weight * value over the positions [from, to) to columns [column, column + 16 * CHUNKS) of rows [r, r + ROWS) of the block. */
template <typename ELEMENT, int ROWS, int CHUNKS>
inline void add_columns(const RowBlock& block, int r, const CachedTile<ELEMENT>& tile, const CachedTile<ELEMENT>& next, int32_t from, int32_t to, int32_t padded,
                        int32_t column) {
  const int32_t stride = attention_state_stride(padded);
  float* output = block.states + static_cast<int64_t>(r) * stride + column;
  const float* weights = block.scores + r * kTile;
  f32x16 acc[ROWS][CHUNKS];
  for (int i = 0; i < ROWS; i++)
    for (int c = 0; c < CHUNKS; c++) acc[i][c] = f_load(output + static_cast<int64_t>(i) * stride + c * 16);
  for (int32_t at = from; at < to;) {
    const int s = at / kSubTile;
    const int32_t end = to < (s + 1) * kSubTile ? to : (s + 1) * kSubTile;
    const int64_t offset = static_cast<int64_t>(at % kSubTile) * padded + column;
    const ELEMENT *value = tile.values[s] + offset, *ahead = next.values[s] == nullptr ? value : next.values[s] + offset;
    for (; at < end; at++, value += padded, ahead += padded) {
      if constexpr (kAsksWhileReading<ELEMENT>) prefetch_elements(ahead, CHUNKS * 16);
      f32x16 v[CHUNKS];
      for (int c = 0; c < CHUNKS; c++) {
        v[c] = load_lanes(value + c * 16);
        if constexpr (has_scales<ELEMENT>) v[c] = f_mul(v[c], f_set(tile.valueScales[(column + c * 16) / kKvGroup * kTile + at]));
      }
      for (int i = 0; i < ROWS; i++) {
        const f32x16 weight = f_set(weights[i * kTile + at]);
        for (int c = 0; c < CHUNKS; c++) acc[i][c] = f_fma(v[c], weight, acc[i][c]);
      }
    }
  }
  for (int i = 0; i < ROWS; i++)
    for (int c = 0; c < CHUNKS; c++) f_store(output + static_cast<int64_t>(i) * stride + c * 16, acc[i][c]);
}

template <typename ELEMENT, int ROWS>
inline void add_values(const RowBlock& block, int r, const CachedTile<ELEMENT>& tile, const CachedTile<ELEMENT>& next, int32_t from, int32_t to, int32_t padded) {
  constexpr int kChunks = kSumRegisters / ROWS > 4 ? 4 : kSumRegisters / ROWS;
  if (from >= to) return;
  int32_t column = 0;
  for (; column + kChunks * 16 <= padded; column += kChunks * 16) add_columns<ELEMENT, ROWS, kChunks>(block, r, tile, next, from, to, padded, column);
  for (; column < padded; column += 16) add_columns<ELEMENT, ROWS, 1>(block, r, tile, next, from, to, padded, column);
}

/** next: the tile that follows, to be asked for; empty where there is none. */
template <typename ELEMENT, int ROWS>
inline void attend_rows(const AttentionTask& task, const RowBlock& block, const CachedTile<ELEMENT>& tile, const CachedTile<ELEMENT>& next) {
  int32_t from = block.from[0], to = block.to[0], commonFrom = from, commonTo = to;
  for (int r = 1; r < ROWS; r++) {
    from = block.from[r] < from ? block.from[r] : from;
    to = block.to[r] > to ? block.to[r] : to;
    commonFrom = block.from[r] > commonFrom ? block.from[r] : commonFrom;
    commonTo = block.to[r] < commonTo ? block.to[r] : commonTo;
  }
  score_rows<ELEMENT, ROWS>(block, tile, next, from / kSubTile, (to + kSubTile - 1) / kSubTile, task.kv.headDim);
  for (int r = 0; r < ROWS; r++) soften_row(task, block, r);
  const int32_t padded = task.kv.headDimPadded;
  // What a row does not read, it must not multiply: 0 * infinity.
  if (commonFrom >= commonTo) {
    for (int r = 0; r < ROWS; r++) add_values<ELEMENT, 1>(block, r, tile, next, block.from[r], block.to[r], padded);
    return;
  }
  for (int r = 0; r < ROWS; r++) add_values<ELEMENT, 1>(block, r, tile, next, block.from[r], commonFrom, padded);
  add_values<ELEMENT, ROWS>(block, 0, tile, next, commonFrom, commonTo, padded);
  for (int r = 0; r < ROWS; r++) add_values<ELEMENT, 1>(block, r, tile, next, commonTo, block.to[r], padded);
}

}  // namespace
}  // namespace inferd
