// Root-mean-square normalization of each group of columns (Zhang and Sennrich 2019, arXiv:1910.07467).
#include <math.h>

#include "dispatch/kernel_entries.h"
#include "simd/simd.h"

namespace inferd {
namespace {

inline float sum_of_squares(const float* x, int32_t width) {
  f32x16 even = f_zero(), odd = f_zero();
  int32_t i = 0;
  for (; i + 32 <= width; i += 32) {
    const f32x16 a = f_load(x + i), b = f_load(x + i + 16);
    even = f_fma(a, a, even);
    odd = f_fma(b, b, odd);
  }
  for (; i < width; i += 16) {
    const f32x16 a = f_load_n(x + i, width - i < 16 ? width - i : 16);
    even = f_fma(a, a, even);
  }
  return f_sum(f_add(even, odd));
}

inline void scale_group(const float* x, const float* weight, float factor, int32_t width, float* out) {
  for (int32_t i = 0; i < width; i += 16) {
    const int n = width - i < 16 ? width - i : 16;
    f_store_n(out + i, f_mul(f_mul(f_load_n(x + i, n), f_set(factor)), f_load_n(weight + i, n)), n);
  }
}

}  // namespace
}  // namespace inferd

namespace inferd::INFERD_ISA {

void rms_norm(Rows x, Rows out, int32_t width, int32_t groupWidth, float epsilon, const float* weight, int32_t rowBegin, int32_t rowEnd) {
  for (int32_t row = rowBegin; row < rowEnd; row++) {
    for (int32_t group = 0; group < width; group += groupWidth) {
      const float* from = x.row(row) + group;
      const double mean = static_cast<double>(sum_of_squares(from, groupWidth)) / groupWidth;
      const float factor = static_cast<float>(1.0 / sqrt(mean + static_cast<double>(epsilon)));
      scale_group(from, weight, factor, groupWidth, out.row(row) + group);
    }
  }
}

}  // namespace inferd::INFERD_ISA
