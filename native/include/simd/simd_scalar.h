// Sixteen lanes in plain arrays: the portable form and the one to read first.
#pragma once
#include <math.h>

#include <cstdint>
#include <cstring>

#include "half.h"

namespace inferd {
namespace {

struct f32x16 {
  float lane[16];
};
struct i32x16 {
  int32_t lane[16];
};
/** 64 bytes: four consecutive columns of sixteen rows. */
struct u8x64 {
  uint8_t byte[64];
};

constexpr int kTokenTile = 4;
constexpr int kFloatTokenTile = 4;
constexpr bool kInterleavesTokens = false;

#define INFERD_LANES(expression)             \
  f32x16 r;                                  \
  for (int i = 0; i < 16; i++) r.lane[i] = (expression); \
  return r

inline f32x16 f_set(float x) { INFERD_LANES(x); }
inline f32x16 f_zero() { return f_set(0.0f); }
inline f32x16 f_load(const float* p) { INFERD_LANES(p[i]); }
inline void f_store(float* p, f32x16 v) { std::memcpy(p, v.lane, sizeof v.lane); }
inline f32x16 f_load_n(const float* p, int n) { INFERD_LANES(i < n ? p[i] : 0.0f); }
inline void f_store_n(float* p, f32x16 v, int n) {
  for (int i = 0; i < n; i++) p[i] = v.lane[i];
}
inline f32x16 f_add(f32x16 a, f32x16 b) { INFERD_LANES(a.lane[i] + b.lane[i]); }
inline f32x16 f_sub(f32x16 a, f32x16 b) { INFERD_LANES(a.lane[i] - b.lane[i]); }
inline f32x16 f_mul(f32x16 a, f32x16 b) { INFERD_LANES(a.lane[i] * b.lane[i]); }
inline f32x16 f_div(f32x16 a, f32x16 b) { INFERD_LANES(a.lane[i] / b.lane[i]); }
inline f32x16 f_max(f32x16 a, f32x16 b) { INFERD_LANES(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]); }
inline f32x16 f_min(f32x16 a, f32x16 b) { INFERD_LANES(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]); }
inline f32x16 f_fma(f32x16 a, f32x16 b, f32x16 c) { INFERD_LANES(a.lane[i] * b.lane[i] + c.lane[i]); }
inline f32x16 f_abs(f32x16 a) { INFERD_LANES(fabsf(a.lane[i])); }
inline f32x16 f_load_f16(const uint16_t* p) { INFERD_LANES(f16_to_f32(p[i])); }
inline f32x16 f_load_bf16(const uint16_t* p) { INFERD_LANES(bf16_to_f32(p[i])); }
inline f32x16 f_load_i8(const int8_t* p) { INFERD_LANES(static_cast<float>(p[i])); }
inline void f_store_f16(uint16_t* p, f32x16 v) {
  for (int i = 0; i < 16; i++) p[i] = f32_to_f16(v.lane[i]);
}
/** Lanes [from, to) keep v, the others become `other`. */
inline f32x16 f_keep_range(f32x16 v, int from, int to, float other) { INFERD_LANES(i >= from && i < to ? v.lane[i] : other); }
inline float f_sum(f32x16 v) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) v.lane[i] += v.lane[i + half];
  return v.lane[0];
}
inline float f_max_lane(f32x16 v) {
  float best = v.lane[0];
  for (int i = 1; i < 16; i++) best = v.lane[i] > best ? v.lane[i] : best;
  return best;
}
inline bool f_any_greater(f32x16 v, float x) {
  bool any = false;
  for (int i = 0; i < 16; i++) any = any || v.lane[i] > x;
  return any;
}
/** e^x; 0 below -87. */
inline f32x16 f_exp(f32x16 x) { INFERD_LANES(x.lane[i] < -87.0f ? 0.0f : expf(x.lane[i])); }
/** 2^x for x <= 0; 0 below -126. */
inline f32x16 f_exp2(f32x16 x) { INFERD_LANES(x.lane[i] < -126.0f ? 0.0f : exp2f(x.lane[i])); }

inline f32x16 i_to_f(i32x16 v) { INFERD_LANES(static_cast<float>(v.lane[i])); }
/** Rounds to nearest even and narrows sixteen lanes to signed bytes; the caller guarantees the range. */
inline void f_store_i8(int8_t* p, f32x16 v) {
  for (int i = 0; i < 16; i++) p[i] = static_cast<int8_t>(rintf(v.lane[i]));
}

#undef INFERD_LANES
#define INFERD_BYTES(expression)             \
  u8x64 r;                                   \
  for (int i = 0; i < 64; i++) r.byte[i] = static_cast<uint8_t>(expression); \
  return r

inline u8x64 u_load(const uint8_t* p) { INFERD_BYTES(p[i]); }
inline u8x64 u_and(u8x64 a, uint8_t mask) { INFERD_BYTES(a.byte[i] & mask); }
inline u8x64 u_or(u8x64 a, u8x64 b) { INFERD_BYTES(a.byte[i] | b.byte[i]); }
/** Shifts of single bytes; the caller masks as the wider forms need it. */
template <int N> inline u8x64 u_shift_right(u8x64 a) { INFERD_BYTES(a.byte[i] >> N); }
template <int N> inline u8x64 u_shift_left(u8x64 a) { INFERD_BYTES(a.byte[i] << N); }
/** Replaces every byte (0..15) by the table's entry. */
inline u8x64 u_lookup(u8x64 indices, const uint8_t* table16) { INFERD_BYTES(table16[indices.byte[i]]); }
#undef INFERD_BYTES

/**
 * Sixteen rows' dot products over 4 * QUADS columns: sum of (w - zero) * a, exact. w: QUADS registers of bytes whose
 * values are at most MAX; a: 4 * QUADS signed bytes; negatedSum: minus the sum of a.
 */
template <int QUADS, int MAX, int ZERO_SHIFT>
inline i32x16 dot_quads(const u8x64* w, const int8_t* a, const int32_t* negatedSum) {
  i32x16 acc;
  for (int r = 0; r < 16; r++) {
    int32_t sum = ZERO_SHIFT > 0 ? *negatedSum * (1 << ZERO_SHIFT) : 0;
    for (int j = 0; j < QUADS; j++)
      for (int k = 0; k < 4; k++) sum += static_cast<int32_t>(w[j].byte[r * 4 + k]) * a[j * 4 + k];
    acc.lane[r] = sum;
  }
  return acc;
}

template <int TOKENS, int QUADS, int ZERO_SHIFT> inline void dot_tokens(const u8x64*, const int8_t*, int, const int32_t*, i32x16*) {}

inline void prefetch(const void*) {}

}  // namespace
}  // namespace inferd
