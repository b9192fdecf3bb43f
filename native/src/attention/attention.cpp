// Causal attention of a few new tokens over the paged cache of one KV head, all its query heads together, with an online
// softmax (Milakov and Gimelshein 2018, arXiv:1805.02867; tiles as in FlashAttention, arXiv:2205.14135).
//
// Positions are walked in tiles of 64 that begin at multiples of 64, whatever the batch: a row's sums are taken in the
// same order alone, in a chunk, or among other sequences. A "row" is one query head of one token.
#include "softcap/softcap.h"

#include <math.h>
#include <string.h>

#include "dispatch/kernel_entries.h"

namespace inferd {
namespace {

constexpr int kTile = kAttentionTile;
constexpr int kSubTile = 16;
constexpr int kSubTiles = kTile / kSubTile;

inline f32x16 load_lanes(const float* p) { return f_load(p); }
inline f32x16 load_lanes(const uint16_t* p) { return f_load_f16(p); }

/** Where a tile's keys (headDim, 16) and values (16, headDimPadded) lie, sixteen positions at a time. */
template <typename ELEMENT> struct TileOperands {
  const ELEMENT* keys[kSubTiles];
  const ELEMENT* values[kSubTiles];
};

/** Scratch of one task, in this order. */
struct Scratch {
  /** (rows, headDimPadded) weighted sums of values. */
  float* output;
  /** (rows, 64) scores, then probabilities. */
  float* scores;
  /** (rows, 16) partial sums of probabilities. */
  float* sums;
  /** (rows) running maxima. */
  float* maxima;
  /** Room for one tile of keys and values where blocks are not made of whole sub-tiles. */
  uint8_t* gathered;
};

/** Rows of one token, the first being `row`, and the positions of the tile that they read: [from, to). */
struct RowBlock {
  int32_t row, from, to;
};

template <typename ELEMENT> inline const ELEMENT* head_of(const AttentionTask& task, int32_t position) {
  const KvLayer& kv = task.kv;
  const int64_t headElements = static_cast<int64_t>(kv.blockSize) * (kv.headDim + kv.headDimPadded);
  const uint8_t* block = kv.base + task.blockTable[position / kv.blockSize] * kv.blockBytes;
  return reinterpret_cast<const ELEMENT*>(block) + task.kvHead * headElements;
}

template <typename ELEMENT> inline void gather_sub_tile(const AttentionTask& task, int32_t start, int32_t end, ELEMENT* keys, ELEMENT* values) {
  const KvLayer& kv = task.kv;
  for (int32_t lane = 0; lane < kSubTile; lane++) {
    const int32_t position = start + lane;
    if (position >= end) {
      for (int32_t i = 0; i < kv.headDim; i++) keys[i * kSubTile + lane] = 0;
      memset(values + static_cast<int64_t>(lane) * kv.headDimPadded, 0, sizeof(ELEMENT) * static_cast<size_t>(kv.headDimPadded));
      continue;
    }
    const ELEMENT* head = head_of<ELEMENT>(task, position);
    const int32_t offset = position % kv.blockSize;
    const ELEMENT* from = head + static_cast<int64_t>(offset / kv.keyTile) * kv.keyTile * kv.headDim + offset % kv.keyTile;
    for (int32_t i = 0; i < kv.headDim; i++) keys[i * kSubTile + lane] = from[static_cast<int64_t>(i) * kv.keyTile];
    const ELEMENT* value = head + static_cast<int64_t>(kv.blockSize) * kv.headDim + static_cast<int64_t>(offset) * kv.headDimPadded;
    memcpy(values + static_cast<int64_t>(lane) * kv.headDimPadded, value, sizeof(ELEMENT) * static_cast<size_t>(kv.headDimPadded));
  }
}

/** Positions [start, end) of the tile at `start` are cached; sub-tiles beyond `end` stay unset. */
template <typename ELEMENT> inline TileOperands<ELEMENT> find_tile(const AttentionTask& task, int32_t start, int32_t end, const Scratch& scratch) {
  const KvLayer& kv = task.kv;
  TileOperands<ELEMENT> tile = {};
  for (int s = 0; s < kSubTiles && start + s * kSubTile < end; s++) {
    const int32_t position = start + s * kSubTile;
    if (kv.keyTile == kSubTile) {
      const ELEMENT* head = head_of<ELEMENT>(task, position);
      const int32_t offset = position % kv.blockSize;
      tile.keys[s] = head + static_cast<int64_t>(offset) * kv.headDim;
      tile.values[s] = head + static_cast<int64_t>(kv.blockSize) * kv.headDim + static_cast<int64_t>(offset) * kv.headDimPadded;
    } else {
      ELEMENT* keys = reinterpret_cast<ELEMENT*>(scratch.gathered) + static_cast<int64_t>(s) * kSubTile * (kv.headDim + kv.headDimPadded);
      gather_sub_tile(task, position, end, keys, keys + static_cast<int64_t>(kSubTile) * kv.headDim);
      tile.keys[s] = keys;
      tile.values[s] = keys + static_cast<int64_t>(kSubTile) * kv.headDim;
    }
  }
  return tile;
}

inline int32_t position_of(const AttentionTask& task, int32_t row, int32_t group) { return task.firstPosition + row / group; }

inline const float* query_of(const AttentionTask& task, int32_t row, int32_t group) {
  return task.q.row(task.tokenBegin + row / group) + (static_cast<int64_t>(task.kvHead) * group + row % group) * task.kv.headDim;
}

/** Raw dot products of ROWS queries with the sub-tiles [subFrom, subTo). */
template <typename ELEMENT, int ROWS>
inline void score_rows(const AttentionTask& task, const TileOperands<ELEMENT>& tile, int32_t group, int32_t row, int subFrom, int subTo, float* scores) {
  const float* q[ROWS];
  for (int r = 0; r < ROWS; r++) q[r] = query_of(task, row + r, group);
  for (int s = subFrom; s < subTo; s++) {
    f32x16 even[ROWS], odd[ROWS];
    for (int r = 0; r < ROWS; r++) even[r] = odd[r] = f_zero();
    const ELEMENT* keys = tile.keys[s];
    int32_t d = 0;
    for (; d + 2 <= task.kv.headDim; d += 2, keys += 2 * kSubTile) {
      const f32x16 a = load_lanes(keys), b = load_lanes(keys + kSubTile);
      for (int r = 0; r < ROWS; r++) {
        even[r] = f_fma(a, f_set(q[r][d]), even[r]);
        odd[r] = f_fma(b, f_set(q[r][d + 1]), odd[r]);
      }
    }
    if (d < task.kv.headDim)
      for (int r = 0; r < ROWS; r++) even[r] = f_fma(load_lanes(keys), f_set(q[r][d]), even[r]);
    for (int r = 0; r < ROWS; r++) f_store(scores + (row + r) * kTile + s * kSubTile, f_add(even[r], odd[r]));
  }
}

inline int clamp_lane(int32_t lane) { return lane < 0 ? 0 : lane > kSubTile ? kSubTile : lane; }

/** Scores of one row become probabilities against its running maximum; its sums and output are rescaled when that rises. */
inline void soften_row(const AttentionTask& task, int32_t row, const RowBlock& block, Scratch& scratch) {
  float* scores = scratch.scores + row * kTile;
  const int subFrom = block.from / kSubTile, subTo = (block.to + kSubTile - 1) / kSubTile;
  f32x16 s[kSubTiles], best = f_set(-INFINITY);
  for (int i = subFrom; i < subTo; i++) {
    s[i] = f_mul(f_load(scores + i * kSubTile), f_set(task.scale));
    if (task.softcap > 0.0f) s[i] = softcap_lanes(s[i], task.softcap);
    const int low = clamp_lane(block.from - i * kSubTile), high = clamp_lane(block.to - i * kSubTile);
    if (low > 0 || high < kSubTile) s[i] = f_keep_range(s[i], low, high, -INFINITY);
    best = f_max(best, s[i]);
  }
  const float previous = scratch.maxima[row], tileMax = f_max_lane(best);
  f32x16 sum = f_load(scratch.sums + row * kSubTile);
  float* output = scratch.output + static_cast<int64_t>(row) * task.kv.headDimPadded;
  if (tileMax > previous) {
    scratch.maxima[row] = tileMax;
    const f32x16 shrink = f_exp(f_set(previous - tileMax));
    sum = f_mul(sum, shrink);
    for (int32_t i = 0; i < task.kv.headDimPadded; i += 16) f_store(output + i, f_mul(f_load(output + i), shrink));
  }
  const f32x16 maximum = f_set(scratch.maxima[row]);
  for (int i = subFrom; i < subTo; i++) {
    const f32x16 p = f_exp(f_sub(s[i], maximum));
    sum = f_add(sum, p);
    f_store(scores + i * kSubTile, p);
  }
  f_store(scratch.sums + row * kSubTile, sum);
}

/** output[row] += sum over positions of p * value, CHUNKS registers of 16 columns at a time. */
template <typename ELEMENT, int ROWS, int CHUNKS>
inline void add_values(const TileOperands<ELEMENT>& tile, const RowBlock& block, int32_t row, int32_t padded, int32_t column, const Scratch& scratch) {
  f32x16 acc[ROWS][CHUNKS];
  for (int r = 0; r < ROWS; r++)
    for (int c = 0; c < CHUNKS; c++) acc[r][c] = f_load(scratch.output + static_cast<int64_t>(row + r) * padded + column + c * 16);
  const float* p = scratch.scores + row * kTile;
  for (int32_t at = block.from; at < block.to; at++) {
    const ELEMENT* value = tile.values[at / kSubTile] + static_cast<int64_t>(at % kSubTile) * padded + column;
    for (int c = 0; c < CHUNKS; c++) {
      const f32x16 v = load_lanes(value + c * 16);
      for (int r = 0; r < ROWS; r++) acc[r][c] = f_fma(v, f_set(p[r * kTile + at]), acc[r][c]);
    }
  }
  for (int r = 0; r < ROWS; r++)
    for (int c = 0; c < CHUNKS; c++) f_store(scratch.output + static_cast<int64_t>(row + r) * padded + column + c * 16, acc[r][c]);
}

template <typename ELEMENT, int ROWS>
inline void attend_rows(const AttentionTask& task, const TileOperands<ELEMENT>& tile, int32_t group, const RowBlock& block, Scratch& scratch) {
  const int32_t row = block.row;
  score_rows<ELEMENT, ROWS>(task, tile, group, row, block.from / kSubTile, (block.to + kSubTile - 1) / kSubTile, scratch.scores);
  for (int r = 0; r < ROWS; r++) soften_row(task, row + r, block, scratch);
  const int32_t padded = task.kv.headDimPadded;
  int32_t column = 0;
  for (; column + 64 <= padded; column += 64) add_values<ELEMENT, ROWS, 4>(tile, block, row, padded, column, scratch);
  for (; column < padded; column += 16) add_values<ELEMENT, ROWS, 1>(tile, block, row, padded, column, scratch);
}

/** The tile at `start`: the rows whose window reaches into it, four (then two, then one) at a time, never across tokens with different ranges. */
template <typename ELEMENT>
inline void attend_tile(const AttentionTask& task, const TileOperands<ELEMENT>& tile, int32_t group, int32_t numRows, int32_t start, Scratch& scratch) {
  int32_t row = 0;
  while (row < numRows) {
    const int32_t position = position_of(task, row, group);
    const int32_t first = task.window > 0 ? position - task.window + 1 : 0;
    if (position < start || first >= start + kTile) {
      row++;
      continue;
    }
    const int32_t tokenEnd = (row / group + 1) * group;
    const int32_t count = tokenEnd - row;
    const RowBlock block = {row, first > start ? first - start : 0, position + 1 - start < kTile ? position + 1 - start : kTile};
    if (count >= 4) {
      attend_rows<ELEMENT, 4>(task, tile, group, block, scratch);
      row += 4;
    } else if (count >= 2) {
      attend_rows<ELEMENT, 2>(task, tile, group, block, scratch);
      row += 2;
    } else {
      attend_rows<ELEMENT, 1>(task, tile, group, block, scratch);
      row += 1;
    }
  }
}

inline Scratch lay_out_scratch(const AttentionTask& task, int32_t numRows) {
  const int64_t rows = kAttentionRows, padded = task.kv.headDimPadded;
  Scratch scratch;
  scratch.output = task.scratch;
  scratch.scores = scratch.output + rows * padded;
  scratch.sums = scratch.scores + rows * kTile;
  scratch.maxima = scratch.sums + rows * kSubTile;
  scratch.gathered = reinterpret_cast<uint8_t*>(scratch.maxima + rows * kSubTile);
  memset(scratch.output, 0, sizeof(float) * static_cast<size_t>(numRows * padded));
  memset(scratch.sums, 0, sizeof(float) * static_cast<size_t>(numRows * kSubTile));
  for (int32_t row = 0; row < numRows; row++) scratch.maxima[row] = -INFINITY;
  return scratch;
}

inline void write_outputs(const AttentionTask& task, int32_t group, int32_t numRows, const Scratch& scratch) {
  const int32_t headDim = task.kv.headDim;
  for (int32_t row = 0; row < numRows; row++) {
    const float* from = scratch.output + static_cast<int64_t>(row) * task.kv.headDimPadded;
    float* to = task.out.row(task.tokenBegin + row / group) + (static_cast<int64_t>(task.kvHead) * group + row % group) * headDim;
    const f32x16 total = f_set(f_sum(f_load(scratch.sums + row * kSubTile)));
    for (int32_t i = 0; i < headDim; i += 16) f_store_n(to + i, f_div(f_load(from + i), total), headDim - i < 16 ? headDim - i : 16);
  }
}

template <typename ELEMENT> inline void run(const AttentionTask& task) {
  const int32_t group = task.numHeads / task.kv.numKvHeads;
  const int32_t numRows = (task.tokenEnd - task.tokenBegin) * group;
  const int32_t end = task.firstPosition + (task.tokenEnd - task.tokenBegin);
  const int32_t first = task.window > 0 && task.firstPosition - task.window + 1 > 0 ? task.firstPosition - task.window + 1 : 0;
  Scratch scratch = lay_out_scratch(task, numRows);
  for (int32_t start = first / kTile * kTile; start < end; start += kTile) {
    const TileOperands<ELEMENT> tile = find_tile<ELEMENT>(task, start, end < start + kTile ? end : start + kTile, scratch);
    attend_tile(task, tile, group, numRows, start, scratch);
  }
  write_outputs(task, group, numRows, scratch);
}

}  // namespace
}  // namespace inferd

namespace inferd::INFERD_ISA {

void attention(const AttentionTask& task) {
  if (task.kv.isF16) run<uint16_t>(task);
  else run<float>(task);
}

}  // namespace inferd::INFERD_ISA
