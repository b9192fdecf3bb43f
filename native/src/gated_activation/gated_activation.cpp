// out = activation(gate) * up: SiLU, or GELU in its tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415).
#include "dispatch/kernel_entries.h"
#include "simd/simd.h"

namespace inferd {
namespace {

/** x / (1 + e^-x). */
inline f32x16 silu(f32x16 x) { return f_div(x, f_add(f_set(1.0f), f_exp(f_sub(f_zero(), x)))); }

/** x (1 + tanh(u)) / 2 = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
inline f32x16 gelu_tanh(f32x16 x) {
  const f32x16 cube = f_mul(f_mul(x, x), x);
  const f32x16 u = f_mul(f_set(0.7978845608028654f), f_fma(f_set(0.044715f), cube, x));
  return f_div(x, f_add(f_set(1.0f), f_exp(f_mul(u, f_set(-2.0f)))));
}

template <bool IS_GELU> inline void activate_row(const float* gate, const float* up, int32_t width, float* out) {
  for (int32_t i = 0; i < width; i += 16) {
    const int n = width - i < 16 ? width - i : 16;
    const f32x16 g = f_load_n(gate + i, n);
    f_store_n(out + i, f_mul(IS_GELU ? gelu_tanh(g) : silu(g), f_load_n(up + i, n)), n);
  }
}

}  // namespace
}  // namespace inferd

namespace inferd::INFERD_ISA {

void gated_activation(Rows gate, Rows up, Rows out, int32_t width, bool isGelu, int32_t rowBegin, int32_t rowEnd) {
  for (int32_t row = rowBegin; row < rowEnd; row++) {
    if (isGelu) activate_row<true>(gate.row(row), up.row(row), width, out.row(row));
    else activate_row<false>(gate.row(row), up.row(row), width, out.row(row));
  }
}

}  // namespace inferd::INFERD_ISA
