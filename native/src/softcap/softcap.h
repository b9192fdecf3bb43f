// cap * tanh(s / cap), with tanh(y) = 1 - 2 / (e^2y + 1).
#pragma once
#include "simd/simd.h"

namespace inferd {
namespace {

inline f32x16 softcap_lanes(f32x16 s, float cap) {
  // Beyond 30 the tanh is 1 in f32; the clamp keeps e^2y finite. max(low, y) passes a NaN on.
  const f32x16 y = f_min(f_set(30.0f), f_max(f_set(-30.0f), f_div(s, f_set(cap))));
  const f32x16 tanh = f_sub(f_set(1.0f), f_div(f_set(2.0f), f_add(f_exp(f_add(y, y)), f_set(1.0f))));
  return f_mul(tanh, f_set(cap));
}

}  // namespace
}  // namespace inferd
