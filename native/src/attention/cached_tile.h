// One tile of cached positions of one KV head, as the rows of an attention task read it: sixteen positions (a sub-tile) at a time, either where the
// cache has them or widened to f32, which is exact.
#pragma once
#include "half.h"
#include "kernel_table.h"
#include "simd/simd.h"

namespace inferd {
namespace {

constexpr int kTile = kAttentionTile;
constexpr int kSubTile = 16;
constexpr int kSubTiles = kTile / kSubTile;

/** keys (headDim, 16) and values (16, headDimPadded) of each sub-tile. Sub-tiles beyond the cached positions are null. */
template <typename ELEMENT> struct CachedTile {
  const ELEMENT *keys[kSubTiles], *values[kSubTiles];
  /** q8_0: f16 (numGroups, 16) of keys, f32 (numGroups, 64) of values. */
  const uint16_t* keyScales[kSubTiles];
  const float* valueScales;
};

template <typename ELEMENT> constexpr bool has_scales = false;
template <> constexpr bool has_scales<int8_t> = true;

inline f32x16 load_lanes(const float* p) { return f_load(p); }
inline f32x16 load_lanes(const uint16_t* p) { return f_load_f16(p); }
inline f32x16 load_lanes(const int8_t* p) { return f_load_i8(p); }
inline float to_f32(float value) { return value; }
inline float to_f32(uint16_t value) { return f16_to_f32(value); }
inline float to_f32(int8_t value) { return static_cast<float>(value); }

template <typename ELEMENT> inline KvHead<ELEMENT> head_at(const AttentionTask& task, int32_t position) {
  return kv_head<ELEMENT>(task.kv, task.blockTable[position / task.kv.blockSize], task.kvHead);
}

/** The cache's own memory; for blocks of whole sub-tiles. Positions [start, end) are cached; valueScales: room for them, null = not wanted. */
template <typename ELEMENT> inline CachedTile<ELEMENT> find_tile(const AttentionTask& task, int32_t start, int32_t end, float* valueScales) {
  const KvLayer& kv = task.kv;
  const int32_t numGroups = num_kv_groups(kv.headDim);
  CachedTile<ELEMENT> tile = {};
  tile.valueScales = valueScales;
  for (int s = 0; s < kSubTiles && start + s * kSubTile < end; s++) {
    const KvHead<ELEMENT> head = head_at<ELEMENT>(task, start + s * kSubTile);
    const int64_t offset = (start + s * kSubTile) % kv.blockSize;
    tile.keys[s] = head.keys + offset * kv.headDim;
    tile.values[s] = head.values + offset * kv.headDimPadded;
    if constexpr (has_scales<ELEMENT>) {
      tile.keyScales[s] = head.keyScales + offset * numGroups;
      for (int32_t g = 0; valueScales != nullptr && g < numGroups; g++)
        f_store(valueScales + g * kTile + s * kSubTile, f_load_f16(head.valueScales + offset * numGroups + g * kSubTile));
    }
  }
  return tile;
}

/** Asks for the `count` elements at p. */
template <typename ELEMENT> inline void prefetch_elements(const ELEMENT* p, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / static_cast<int64_t>(sizeof(ELEMENT))) prefetch(p + i);
}

/** Asks for one of numShares parts of the tile: all at once would wait for each other. */
template <typename ELEMENT> inline void prefetch_share(const KvLayer& kv, const CachedTile<ELEMENT>& tile, int share, int numShares) {
  const int64_t keys = (static_cast<int64_t>(kv.headDim) * kSubTile + numShares - 1) / numShares;
  const int64_t values = (static_cast<int64_t>(kv.headDimPadded) * kSubTile + numShares - 1) / numShares;
  for (int s = 0; s < kSubTiles && tile.keys[s] != nullptr; s++) {
    prefetch_elements(tile.keys[s] + share * keys, keys);
    prefetch_elements(tile.values[s] + share * values, values);
  }
}

/** keys: f32 (headDim, 16), values: f32 (numPositions, headDimPadded), from a sub-tile in the cache. */
template <typename ELEMENT>
inline void widen_sub_tile(const KvLayer& kv, const CachedTile<ELEMENT>& tile, int s, int32_t numPositions, float* keys, float* values) {
  constexpr int kTurn = has_scales<ELEMENT> ? kKvGroup : 1 << 30;
  for (int32_t begin = 0; begin < kv.headDim; begin += kTurn) {
    const int32_t end = kv.headDim - begin > kTurn ? begin + kTurn : kv.headDim;
    f32x16 scale = f_zero();
    if constexpr (has_scales<ELEMENT>) scale = f_load_f16(tile.keyScales[s] + begin / kKvGroup * kSubTile);
    for (int32_t i = begin; i < end; i++) {
      const f32x16 key = load_lanes(tile.keys[s] + i * kSubTile);
      f_store(keys + i * kSubTile, has_scales<ELEMENT> ? f_mul(key, scale) : key);
    }
  }
  for (int32_t p = 0; p < numPositions; p++) {
    const ELEMENT* from = tile.values[s] + static_cast<int64_t>(p) * kv.headDimPadded;
    float* to = values + static_cast<int64_t>(p) * kv.headDimPadded;
    for (int32_t i = 0; i < kv.headDimPadded; i += 16) {
      const f32x16 value = load_lanes(from + i);
      f_store(to + i, has_scales<ELEMENT> ? f_mul(value, f_set(tile.valueScales[i / kKvGroup * kTile + s * kSubTile + p])) : value);
    }
  }
}

/** The same for one position of a block that is not made of sub-tiles, `lane` being its place in the sub-tile. */
template <typename ELEMENT> inline void widen_position(const AttentionTask& task, int32_t position, int32_t lane, float* keys, float* values) {
  const KvLayer& kv = task.kv;
  const KvHead<ELEMENT> head = head_at<ELEMENT>(task, position);
  const int64_t offset = position % kv.blockSize, keyTile = kv.keyTile, turned = offset % keyTile, tileStart = offset - turned;
  const uint16_t* keyScales = head.keyScales + tileStart * num_kv_groups(kv.headDim) + turned;
  const uint16_t* valueScales = head.valueScales + tileStart * num_kv_groups(kv.headDim) + turned;
  const ELEMENT *key = head.keys + tileStart * kv.headDim + turned, *value = head.values + offset * kv.headDimPadded;
  for (int32_t i = 0; i < kv.headDim; i++) {
    const float keyScale = has_scales<ELEMENT> ? f16_to_f32(keyScales[i / kKvGroup * keyTile]) : 1.0f;
    const float valueScale = has_scales<ELEMENT> ? f16_to_f32(valueScales[i / kKvGroup * keyTile]) : 1.0f;
    keys[i * kSubTile + lane] = to_f32(key[i * keyTile]) * keyScale;
    values[static_cast<int64_t>(lane) * kv.headDimPadded + i] = to_f32(value[i]) * valueScale;
  }
  for (int32_t i = kv.headDim; i < kv.headDimPadded; i++) values[static_cast<int64_t>(lane) * kv.headDimPadded + i] = 0.0f;
}

/** Positions [start, end) of any cache in `widened`: f32 keys (64, headDim), then values (64, headDimPadded). */
template <typename ELEMENT>
inline CachedTile<float> widen_tile(const AttentionTask& task, int32_t start, int32_t end, float* widened, float* valueScales) {
  const KvLayer& kv = task.kv;
  const bool isWhole = kv.keyTile == kSubTile;
  const CachedTile<ELEMENT> stored = isWhole ? find_tile<ELEMENT>(task, start, end, valueScales) : CachedTile<ELEMENT>{};
  CachedTile<float> tile = {};
  for (int s = 0; s < kSubTiles && start + s * kSubTile < end; s++) {
    const int32_t first = start + s * kSubTile, numPositions = end - first < kSubTile ? end - first : kSubTile;
    float* keys = widened + static_cast<int64_t>(s) * kSubTile * kv.headDim;
    float* values = widened + static_cast<int64_t>(kTile) * kv.headDim + static_cast<int64_t>(s) * kSubTile * kv.headDimPadded;
    if (isWhole) widen_sub_tile(kv, stored, s, numPositions, keys, values);
    else for (int32_t p = 0; p < numPositions; p++) widen_position<ELEMENT>(task, first + p, p, keys, values);
    tile.keys[s] = keys;
    tile.values[s] = values;
  }
  return tile;
}

}  // namespace
}  // namespace inferd
