// Rounds activations to 8 bits per 32 columns. The arithmetic is defined by kernels/reference/quantize-activation.ts and
// is the same bit by bit: d = f16(amax / 127), q = nearest-even(x * (127 / amax)); a group that is not finite gets d NaN.
#include "dispatch/kernel_entries.h"
#include "half.h"
#include "simd/simd.h"

namespace inferd {
namespace {

inline float negated_sum_of_bytes(const int8_t* q, int count) {
  int32_t sum = 0;
  for (int i = 0; i < count; i++) sum += q[i];
  return static_cast<float>(-sum);
}

inline void quantize_group(const float* x, ActGroup& out, int lane) {
  const f32x16 a = f_load(x), b = f_load(x + 16);
  const float amax = f_max_lane(f_max(f_abs(a), f_abs(b)));
  // Summing shows what a maximum may hide: x - x is NaN where x is not finite.
  const float poison = f_sum(f_add(f_sub(a, a), f_sub(b, b)));
  const bool isFinite = poison == 0.0f;
  const float d = isFinite ? f16_to_f32(f32_to_f16(amax / 127.0f)) : bits_to_f32(0x7fc00000);
  const float inverse = isFinite && d != 0.0f ? 127.0f / amax : 0.0f;
  int8_t* q = out.q[lane];
  if (inverse != 0.0f) {
    const f32x16 low = f_set(-127.0f), high = f_set(127.0f), factor = f_set(inverse);
    f_store_i8(q, f_min(f_max(f_mul(a, factor), low), high));
    f_store_i8(q + 16, f_min(f_max(f_mul(b, factor), low), high));
  } else {
    f_store_i8(q, f_zero());
    f_store_i8(q + 16, f_zero());
  }
  const float negLow = negated_sum_of_bytes(q, 16), negHigh = negated_sum_of_bytes(q + 16, 16);
  out.d[lane] = d;
  out.negHalf[0][lane] = static_cast<int32_t>(negLow);
  out.negHalf[1][lane] = static_cast<int32_t>(negHigh);
  out.negSum[lane] = static_cast<int32_t>(negLow + negHigh);
  out.half[0][lane] = -negLow;
  out.half[1][lane] = -negHigh;
  out.sum[lane] = -(negLow + negHigh);
}

}  // namespace
}  // namespace inferd

namespace inferd::INFERD_ISA {

void quantize_rows(Rows x, int32_t width, int32_t rowBegin, int32_t rowEnd, ActGroup* act) {
  const int64_t numGroups = width / kGroupColumns;
  for (int32_t row = rowBegin; row < rowEnd; row++) {
    ActGroup* tile = act + row / kActTokens * numGroups;
    for (int64_t g = 0; g < numGroups; g++) quantize_group(x.row(row) + g * kGroupColumns, tile[g], row % kActTokens);
  }
}

}  // namespace inferd::INFERD_ISA
