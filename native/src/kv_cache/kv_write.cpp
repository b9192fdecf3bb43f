// Stores new keys and values at their slots. Keys are turned so that sixteen positions of one dimension lie side by
// side: attention then scores sixteen positions per register without a horizontal sum.
#include <string.h>

#include "dispatch/kernel_entries.h"
#include "half.h"
#include "simd/simd.h"

namespace inferd {
namespace {

template <typename ELEMENT> inline ELEMENT to_element(float value);
template <> inline float to_element<float>(float value) { return value; }
template <> inline uint16_t to_element<uint16_t>(float value) { return f32_to_f16(value); }

template <typename ELEMENT> inline void write_head(const KvLayer& kv, ELEMENT* head, int32_t offset, const float* k, const float* v) {
  ELEMENT* keys = head + static_cast<int64_t>(offset / kv.keyTile) * kv.keyTile * kv.headDim + offset % kv.keyTile;
  ELEMENT* values = head + static_cast<int64_t>(kv.blockSize) * kv.headDim + static_cast<int64_t>(offset) * kv.headDimPadded;
  for (int32_t i = 0; i < kv.headDim; i++) keys[static_cast<int64_t>(i) * kv.keyTile] = to_element<ELEMENT>(k[i]);
  for (int32_t i = 0; i < kv.headDim; i++) values[i] = to_element<ELEMENT>(v[i]);
}

template <typename ELEMENT> inline void write_rows(const KvLayer& kv, Rows k, Rows v, const int32_t* slots, int32_t rowBegin, int32_t rowEnd) {
  const int64_t headElements = static_cast<int64_t>(kv.blockSize) * (kv.headDim + kv.headDimPadded);
  for (int32_t row = rowBegin; row < rowEnd; row++) {
    ELEMENT* block = reinterpret_cast<ELEMENT*>(kv.base + slots[row] / kv.blockSize * kv.blockBytes);
    const int32_t offset = slots[row] % kv.blockSize;
    for (int32_t h = 0; h < kv.numKvHeads; h++)
      write_head(kv, block + h * headElements, offset, k.row(row) + static_cast<int64_t>(h) * kv.headDim, v.row(row) + static_cast<int64_t>(h) * kv.headDim);
  }
}

}  // namespace
}  // namespace inferd

namespace inferd::INFERD_ISA {

void kv_write(const KvLayer& kv, Rows k, Rows v, const int32_t* slots, int32_t rowBegin, int32_t rowEnd) {
  if (kv.isF16) write_rows<uint16_t>(kv, k, v, slots, rowBegin, rowEnd);
  else write_rows<float>(kv, k, v, slots, rowBegin, rowEnd);
}

}  // namespace inferd::INFERD_ISA
