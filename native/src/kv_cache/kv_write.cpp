// Stores new keys and values at their slots. Keys are turned so that sixteen positions of one dimension lie side by
// side: attention then scores sixteen positions per register without a horizontal sum.
#include <math.h>
#include <string.h>

#include "dispatch/kernel_entries.h"
#include "half.h"
#include "simd/simd.h"

namespace inferd {
namespace {

template <typename ELEMENT> inline ELEMENT to_element(float value);
template <> inline float to_element<float>(float value) { return value; }
template <> inline uint16_t to_element<uint16_t>(float value) { return f32_to_f16(value); }

/** Where one position of one head goes: column i of its key to key[i * keyTile], group g's scales to keyScale[g * keyTile] and valueScale[g * keyTile]. */
template <typename ELEMENT> struct KvPlace {
  ELEMENT *key, *value;
  uint16_t *keyScale, *valueScale;
};

template <typename ELEMENT> inline KvPlace<ELEMENT> place_of(const KvLayer& kv, int32_t slot, int32_t head) {
  const KvHead<ELEMENT> h = kv_head<ELEMENT>(kv, slot / kv.blockSize, head);
  const int64_t offset = slot % kv.blockSize, turned = offset % kv.keyTile, tileStart = offset - turned, numGroups = num_kv_groups(kv.headDim);
  return {h.keys + tileStart * kv.headDim + turned, h.values + offset * kv.headDimPadded, h.keyScales + tileStart * numGroups + turned,
          h.valueScales + tileStart * numGroups + turned};
}

template <typename ELEMENT> inline void write_head(const KvLayer& kv, const KvPlace<ELEMENT>& to, const float* k, const float* v) {
  for (int32_t i = 0; i < kv.headDim; i++) to.key[static_cast<int64_t>(i) * kv.keyTile] = to_element<ELEMENT>(k[i]);
  for (int32_t i = 0; i < kv.headDim; i++) to.value[i] = to_element<ELEMENT>(v[i]);
}

/**
 * q8_0 of up to 32 columns: a scale, which is returned, and bytes. The scale is the smallest f16 that brings the largest magnitude to 127, so that
 * no value is cut off; it is NaN where a column is not finite.
 */
inline uint16_t quantize_group(const float* x, int32_t count, int8_t* bytes) {
  const f32x16 a = f_load_n(x, count < 16 ? count : 16), b = count > 16 ? f_load_n(x + 16, count - 16) : f_zero();
  const float largest = f_max_lane(f_max(f_abs(a), f_abs(b))), zero = f_sum(f_mul(f_add(a, b), f_zero()));
  uint16_t scale = f32_to_f16(largest / 127.0f);
  if (f16_to_f32(scale) * 127.0f < largest) scale++;
  const float step = f16_to_f32(scale);
  if (zero != 0.0f || step == INFINITY) {
    memset(bytes, 0, kKvGroup);
    return 0x7e00;
  }
  const f32x16 inverse = f_set(step > 0.0f ? 1.0f / step : 0.0f);
  f_store_i8(bytes, f_mul(a, inverse));
  f_store_i8(bytes + 16, f_mul(b, inverse));
  return scale;
}

template <> inline void write_head<int8_t>(const KvLayer& kv, const KvPlace<int8_t>& to, const float* k, const float* v) {
  int8_t bytes[kKvGroup];
  for (int32_t i = 0; i < kv.headDim; i += kKvGroup) {
    const int32_t count = kv.headDim - i < kKvGroup ? kv.headDim - i : kKvGroup;
    const int64_t group = static_cast<int64_t>(i / kKvGroup) * kv.keyTile;
    to.keyScale[group] = quantize_group(k + i, count, bytes);
    for (int32_t j = 0; j < count; j++) to.key[static_cast<int64_t>(i + j) * kv.keyTile] = bytes[j];
    to.valueScale[group] = quantize_group(v + i, count, bytes);
    memcpy(to.value + i, bytes, static_cast<size_t>(count));
  }
}

template <typename ELEMENT> inline void write_rows(const KvLayer& kv, Rows k, Rows v, const int32_t* slots, int32_t rowBegin, int32_t rowEnd) {
  for (int32_t row = rowBegin; row < rowEnd; row++)
    for (int32_t head = 0; head < kv.numKvHeads; head++)
      write_head(kv, place_of<ELEMENT>(kv, slots[row], head), k.row(row) + static_cast<int64_t>(head) * kv.headDim, v.row(row) + static_cast<int64_t>(head) * kv.headDim);
}

}  // namespace
}  // namespace inferd

namespace inferd::INFERD_ISA {

void kv_write(const KvLayer& kv, Rows k, Rows v, const int32_t* slots, int32_t rowBegin, int32_t rowEnd) {
  switch (kv.type) {
    case KvType::f16: return write_rows<uint16_t>(kv, k, v, slots, rowBegin, rowEnd);
    case KvType::q8_0: return write_rows<int8_t>(kv, k, v, slots, rowBegin, rowEnd);
    default: return write_rows<float>(kv, k, v, slots, rowBegin, rowEnd);
  }
}

}  // namespace inferd::INFERD_ISA
