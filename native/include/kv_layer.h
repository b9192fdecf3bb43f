// How keys and values of one layer lie in memory. A block of `blockSize` positions holds its KV heads one after the other. A head holds, in this
// order and with keyTile the greatest common divisor of blockSize and 16:
//
//   q8_0 only: scales of its keys, then of its values   f16 (blockSize / keyTile, numGroups, keyTile), a group being 32 columns of one position
//   keys                                                (blockSize / keyTile, headDim, keyTile)
//   values                                              (blockSize, headDimPadded)
//
// A q8_0 value is a signed byte times its group's scale, exact in f32.
#pragma once
#include <cstdint>

namespace inferd {

enum class KvType : int32_t { f32, f16, q8_0 };

constexpr int kKvGroup = 32;

constexpr int32_t num_kv_groups(int32_t headDim) { return (headDim + kKvGroup - 1) / kKvGroup; }
constexpr int64_t kv_element_bytes(KvType type) { return type == KvType::f32 ? 4 : type == KvType::f16 ? 2 : 1; }
/** Of keys and values together, before them in a head. */
constexpr int64_t kv_scale_bytes(KvType type, int32_t blockSize, int32_t headDim) {
  return type == KvType::q8_0 ? int64_t{4} * blockSize * num_kv_groups(headDim) : 0;
}
/** Bytes of one head of a block: a multiple of four. */
constexpr int64_t kv_head_bytes(KvType type, int32_t blockSize, int32_t headDim, int32_t headDimPadded) {
  const int64_t elements = static_cast<int64_t>(blockSize) * (headDim + headDimPadded);
  return (kv_scale_bytes(type, blockSize, headDim) + elements * kv_element_bytes(type) + 3) / 4 * 4;
}

struct KvLayer {
  uint8_t* base;
  int64_t blockBytes, headBytes;
  int32_t blockSize, keyTile;
  int32_t numKvHeads, headDim, headDimPadded;
  KvType type;
};

/** Parts of one head of a block. ELEMENT: float, uint16_t (f16) or int8_t (q8_0, the only one with scales). */
template <typename ELEMENT> struct KvHead {
  uint16_t *keyScales, *valueScales;
  ELEMENT *keys, *values;
};

template <typename ELEMENT> static inline KvHead<ELEMENT> kv_head(const KvLayer& kv, int64_t blockId, int32_t head) {
  uint8_t* start = kv.base + blockId * kv.blockBytes + head * kv.headBytes;
  const int64_t scaleBytes = kv_scale_bytes(kv.type, kv.blockSize, kv.headDim);
  ELEMENT* keys = reinterpret_cast<ELEMENT*>(start + scaleBytes);
  return {reinterpret_cast<uint16_t*>(start), reinterpret_cast<uint16_t*>(start + scaleBytes / 2), keys, keys + static_cast<int64_t>(kv.blockSize) * kv.headDim};
}

}  // namespace inferd
