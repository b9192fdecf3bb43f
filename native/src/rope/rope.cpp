// Rotary position embedding in place (Su et al. 2021, arXiv:2104.09864, section 3) by a table of cosines and sines.
#include "dispatch/kernel_entries.h"
#include "simd/simd.h"

namespace inferd {
namespace {

/** Pairs (i, i + numPairs). */
inline void rotate_half_split(float* x, const float* cosines, const float* sines, int32_t numPairs) {
  for (int32_t i = 0; i < numPairs; i += 16) {
    const int n = numPairs - i < 16 ? numPairs - i : 16;
    const f32x16 a = f_load_n(x + i, n), b = f_load_n(x + numPairs + i, n);
    const f32x16 cosine = f_load_n(cosines + i, n), sine = f_load_n(sines + i, n);
    f_store_n(x + i, f_sub(f_mul(a, cosine), f_mul(b, sine)), n);
    f_store_n(x + numPairs + i, f_add(f_mul(a, sine), f_mul(b, cosine)), n);
  }
}

/** Pairs (2i, 2i + 1). */
inline void rotate_interleaved(float* x, const float* cosines, const float* sines, int32_t numPairs) {
  for (int32_t i = 0; i < numPairs; i++) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = a * sines[i] + b * cosines[i];
  }
}

}  // namespace
}  // namespace inferd

namespace inferd::INFERD_ISA {

void rope(Rows x, int32_t width, int32_t headDim, int32_t rotaryDim, bool interleaved, const float* cosSin, int32_t rowBegin, int32_t rowEnd) {
  const int32_t numPairs = rotaryDim / 2;
  for (int32_t row = rowBegin; row < rowEnd; row++) {
    const float* cosines = cosSin + static_cast<int64_t>(row) * rotaryDim;
    for (int32_t head = 0; head < width; head += headDim) {
      float* at = x.row(row) + head;
      if (interleaved) rotate_interleaved(at, cosines, cosines + numPairs, numPairs);
      else rotate_half_split(at, cosines, cosines + numPairs, numPairs);
    }
  }
}

}  // namespace inferd::INFERD_ISA
