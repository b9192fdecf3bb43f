// Sixteen lanes in four 128-bit registers. Needs Advanced SIMD with the dot product of ARMv8.2 (FEAT_DotProd). Integer sums are exact, and
// floating-point operations are taken in the order of simd_avx2.h, with the same roundings: the lanes hold the same bits.
#pragma once
#include <arm_neon.h>

#include <cstdint>

namespace inferd {
namespace {

struct f32x16 {
  float32x4_t part[4];
};
struct i32x16 {
  int32x4_t part[4];
};
/** 64 bytes: four consecutive columns of sixteen rows; register i holds rows 4i..4i+3. */
struct u8x64 {
  uint8x16_t part[4];
};

constexpr int kTokenTile = 4;
constexpr int kFloatTokenTile = 4;
constexpr bool kInterleavesTokens = false;

/** The same expression of each part i. */
#define INFERD_PARTS(type, expression) \
  type r;                              \
  for (int i = 0; i < 4; i++) r.part[i] = (expression); \
  return r

inline f32x16 f_set(float x) { INFERD_PARTS(f32x16, vdupq_n_f32(x)); }
inline f32x16 f_zero() { return f_set(0.0f); }
inline f32x16 f_load(const float* p) { INFERD_PARTS(f32x16, vld1q_f32(p + i * 4)); }
inline void f_store(float* p, f32x16 v) {
  for (int i = 0; i < 4; i++) vst1q_f32(p + i * 4, v.part[i]);
}
/** The first n floats; no byte behind them is read. */
inline f32x16 f_load_n(const float* p, int n) {
  if (n == 16) return f_load(p);
  float lanes[16] = {};
  for (int i = 0; i < n; i++) lanes[i] = p[i];
  return f_load(lanes);
}
inline void f_store_n(float* p, f32x16 v, int n) {
  if (n == 16) return f_store(p, v);
  float lanes[16];
  f_store(lanes, v);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}
inline f32x16 f_add(f32x16 a, f32x16 b) { INFERD_PARTS(f32x16, vaddq_f32(a.part[i], b.part[i])); }
inline f32x16 f_sub(f32x16 a, f32x16 b) { INFERD_PARTS(f32x16, vsubq_f32(a.part[i], b.part[i])); }
inline f32x16 f_mul(f32x16 a, f32x16 b) { INFERD_PARTS(f32x16, vmulq_f32(a.part[i], b.part[i])); }
inline f32x16 f_div(f32x16 a, f32x16 b) { INFERD_PARTS(f32x16, vdivq_f32(a.part[i], b.part[i])); }
/** b where either is NaN, as on every other ISA: vmaxq and vminq would give the NaN. */
inline float32x4_t max4(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
inline float32x4_t min4(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
inline f32x16 f_max(f32x16 a, f32x16 b) { INFERD_PARTS(f32x16, max4(a.part[i], b.part[i])); }
inline f32x16 f_min(f32x16 a, f32x16 b) { INFERD_PARTS(f32x16, min4(a.part[i], b.part[i])); }
inline f32x16 f_fma(f32x16 a, f32x16 b, f32x16 c) { INFERD_PARTS(f32x16, vfmaq_f32(c.part[i], a.part[i], b.part[i])); }
inline f32x16 f_abs(f32x16 a) { INFERD_PARTS(f32x16, vabsq_f32(a.part[i])); }
inline f32x16 f_load_f16(const uint16_t* p) { INFERD_PARTS(f32x16, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + i * 4)))); }
inline f32x16 f_load_bf16(const uint16_t* p) { INFERD_PARTS(f32x16, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + i * 4), 16))); }
inline void f_store_f16(uint16_t* p, f32x16 v) {
  for (int i = 0; i < 4; i++) vst1_u16(p + i * 4, vreinterpret_u16_f16(vcvt_f16_f32(v.part[i])));
}
inline f32x16 f_load_i8(const int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
           vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}
/** All ones in the lanes [from, to) of four lanes that begin at lane `base`. */
inline uint32x4_t m_range(int base, int from, int to) {
  const int32_t first[4] = {0, 1, 2, 3};
  const int32x4_t lane = vaddq_s32(vld1q_s32(first), vdupq_n_s32(base));
  return vandq_u32(vcgeq_s32(lane, vdupq_n_s32(from)), vcltq_s32(lane, vdupq_n_s32(to)));
}
/** Lanes [from, to) keep v, the others become `other`. */
inline f32x16 f_keep_range(f32x16 v, int from, int to, float other) {
  INFERD_PARTS(f32x16, vbslq_f32(m_range(i * 4, from, to), v.part[i], vdupq_n_f32(other)));
}
inline float f_sum(f32x16 v) {
  const float32x4_t a = vaddq_f32(vaddq_f32(v.part[0], v.part[2]), vaddq_f32(v.part[1], v.part[3]));
  const float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}
inline float f_max_lane(f32x16 v) {
  const float32x4_t a = max4(max4(v.part[0], v.part[2]), max4(v.part[1], v.part[3]));
  const float32x4_t b = max4(a, vextq_f32(a, a, 2));
  return vgetq_lane_f32(max4(b, vextq_f32(b, b, 1)), 0);
}
inline bool f_any_greater(f32x16 v, float x) {
  const float32x4_t other = vdupq_n_f32(x);
  const uint32x4_t low = vorrq_u32(vcgtq_f32(v.part[0], other), vcgtq_f32(v.part[1], other));
  return vmaxvq_u32(vorrq_u32(low, vorrq_u32(vcgtq_f32(v.part[2], other), vcgtq_f32(v.part[3], other)))) != 0;
}
inline float32x4_t exp4(float32x4_t x) {
  const uint32x4_t vanishes = vcltq_f32(x, vdupq_n_f32(-87.0f));
  x = min4(vdupq_n_f32(88.3f), max4(vdupq_n_f32(-87.3f), x));
  const float32x4_t n = vrndnq_f32(vmulq_f32(x, vdupq_n_f32(1.44269504088896341f)));
  const float32x4_t r = vfmaq_f32(vfmaq_f32(x, n, vdupq_n_f32(-0.693359375f)), n, vdupq_n_f32(2.12194440e-4f));
  float32x4_t p = vfmaq_f32(vdupq_n_f32(1.3981999507e-3f), vdupq_n_f32(1.9875691500e-4f), r);
  p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), p, r);
  p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), p, r);
  p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), p, r);
  p = vfmaq_f32(vaddq_f32(r, vdupq_n_f32(1.0f)), vmulq_f32(p, r), r);
  const int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
  return vbslq_f32(vanishes, vdupq_n_f32(0.0f), vmulq_f32(p, vreinterpretq_f32_s32(power)));
}
/** e^x to about 2e-7 relative; 0 below -87. */
inline f32x16 f_exp(f32x16 x) { INFERD_PARTS(f32x16, exp4(x.part[i])); }
inline float32x4_t exp2_4(float32x4_t x) {
  const uint32x4_t vanishes = vcltq_f32(x, vdupq_n_f32(-126.0f));
  const float32x4_t n = vrndnq_f32(x), r = vsubq_f32(x, n);
  float32x4_t p = vfmaq_f32(vdupq_n_f32(9.6715127e-3f), vdupq_n_f32(1.3264727e-3f), r);
  p = vfmaq_f32(vdupq_n_f32(5.5507337e-2f), p, r);
  p = vfmaq_f32(vdupq_n_f32(2.4022242e-1f), p, r);
  p = vfmaq_f32(vdupq_n_f32(6.9314698e-1f), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
  const int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
  return vbslq_f32(vanishes, vdupq_n_f32(0.0f), vmulq_f32(p, vreinterpretq_f32_s32(power)));
}
/** 2^x for x <= 0, to about 2e-7 relative, and exactly 1 at 0; 0 below -126. */
inline f32x16 f_exp2(f32x16 x) { INFERD_PARTS(f32x16, exp2_4(x.part[i])); }

inline i32x16 i_set(int32_t x) { INFERD_PARTS(i32x16, vdupq_n_s32(x)); }
inline f32x16 i_to_f(i32x16 v) { INFERD_PARTS(f32x16, vcvtq_f32_s32(v.part[i])); }
/** Rounds to nearest even and narrows sixteen lanes to signed bytes; the caller guarantees the range. */
inline void f_store_i8(int8_t* p, f32x16 v) {
  int16x4_t words[4];
  for (int i = 0; i < 4; i++) words[i] = vmovn_s32(vcvtnq_s32_f32(v.part[i]));
  vst1q_s8(p, vcombine_s8(vmovn_s16(vcombine_s16(words[0], words[1])), vmovn_s16(vcombine_s16(words[2], words[3]))));
}

inline u8x64 u_load(const uint8_t* p) { INFERD_PARTS(u8x64, vld1q_u8(p + i * 16)); }
inline u8x64 u_and(u8x64 a, uint8_t mask) { INFERD_PARTS(u8x64, vandq_u8(a.part[i], vdupq_n_u8(mask))); }
inline u8x64 u_or(u8x64 a, u8x64 b) { INFERD_PARTS(u8x64, vorrq_u8(a.part[i], b.part[i])); }
/** Shifts of single bytes; the caller masks as the wider forms need it. */
template <int N> inline u8x64 u_shift_right(u8x64 a) { INFERD_PARTS(u8x64, vshrq_n_u8(a.part[i], N)); }
template <int N> inline u8x64 u_shift_left(u8x64 a) { INFERD_PARTS(u8x64, vshlq_n_u8(a.part[i], N)); }
/** Replaces every byte (0..15) by the table's entry. */
inline u8x64 u_lookup(u8x64 indices, const uint8_t* table16) {
  const uint8x16_t table = vld1q_u8(table16);
  INFERD_PARTS(u8x64, vqtbl1q_u8(table, indices.part[i]));
}
#undef INFERD_PARTS

/** Adds the dot products of four rows' bytes with quad LANE of sixteen activations. `flip` turns an offset of 128 into a sign. */
template <int LANE> inline void add_quad(i32x16& acc, const u8x64& w, uint8x16_t flip, int8x16_t a) {
  for (int i = 0; i < 4; i++) acc.part[i] = vdotq_laneq_s32(acc.part[i], vreinterpretq_s8_u8(veorq_u8(w.part[i], flip)), a, LANE);
}

/**
 * Sixteen rows' dot products over 4 * QUADS columns: sum of (w - zero) * a, exact. w: QUADS registers of bytes whose
 * values are at most MAX; a: 4 * QUADS signed bytes; negatedSum: minus the sum of a.
 */
template <int QUADS, int MAX, int ZERO_SHIFT>
inline i32x16 dot_quads(const u8x64* w, const int8_t* a, const int32_t* negatedSum) {
  static_assert(QUADS % 4 == 0, "activations are read sixteen at a time");
  static_assert(MAX <= 127 || ZERO_SHIFT == 7, "bytes above 127 are offset by 128");
  const uint8x16_t flip = vdupq_n_u8(MAX > 127 ? 0x80 : 0);
  i32x16 acc = i_set(MAX <= 127 && ZERO_SHIFT > 0 ? *negatedSum * (1 << ZERO_SHIFT) : 0);
  for (int j = 0; j < QUADS; j += 4) {
    const int8x16_t columns = vld1q_s8(a + j * 4);
    add_quad<0>(acc, w[j], flip, columns);
    add_quad<1>(acc, w[j + 1], flip, columns);
    add_quad<2>(acc, w[j + 2], flip, columns);
    add_quad<3>(acc, w[j + 3], flip, columns);
  }
  return acc;
}

template <int TOKENS, int QUADS, int ZERO_SHIFT> inline void dot_tokens(const u8x64*, const int8_t*, int, const int32_t*, i32x16*) {}

inline void prefetch(const void* p) { __builtin_prefetch(p); }

}  // namespace
}  // namespace inferd
