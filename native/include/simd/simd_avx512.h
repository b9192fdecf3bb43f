// Sixteen lanes in one 512-bit register. Needs AVX-512 F, BW, VL, DQ, VNNI.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace inferd {
namespace {

using f32x16 = __m512;
using i32x16 = __m512i;
/** 64 bytes: four consecutive columns of sixteen rows. */
using u8x64 = __m512i;
using mask16 = __mmask16;

constexpr int kTokenTile = 8;
constexpr int kFloatTokenTile = 8;
/** Registers enough to hold the integer sums of a whole tile. */
constexpr bool kInterleavesTokens = true;

inline f32x16 f_zero() { return _mm512_setzero_ps(); }
inline f32x16 f_set(float x) { return _mm512_set1_ps(x); }
inline f32x16 f_load(const float* p) { return _mm512_loadu_ps(p); }
inline void f_store(float* p, f32x16 v) { _mm512_storeu_ps(p, v); }
inline mask16 m_first(int n) { return static_cast<mask16>((1u << n) - 1u); }
inline f32x16 f_load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(m_first(n), p); }
inline void f_store_n(float* p, f32x16 v, int n) { _mm512_mask_storeu_ps(p, m_first(n), v); }
inline f32x16 f_add(f32x16 a, f32x16 b) { return _mm512_add_ps(a, b); }
inline f32x16 f_sub(f32x16 a, f32x16 b) { return _mm512_sub_ps(a, b); }
inline f32x16 f_mul(f32x16 a, f32x16 b) { return _mm512_mul_ps(a, b); }
inline f32x16 f_div(f32x16 a, f32x16 b) { return _mm512_div_ps(a, b); }
inline f32x16 f_max(f32x16 a, f32x16 b) { return _mm512_max_ps(a, b); }
inline f32x16 f_min(f32x16 a, f32x16 b) { return _mm512_min_ps(a, b); }
inline f32x16 f_fma(f32x16 a, f32x16 b, f32x16 c) { return _mm512_fmadd_ps(a, b, c); }
inline f32x16 f_abs(f32x16 a) { return _mm512_abs_ps(a); }
inline f32x16 f_load_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline f32x16 f_load_bf16(const uint16_t* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
}
inline void f_store_f16(uint16_t* p, f32x16 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
inline f32x16 f_load_i8(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
/** Lanes [from, to) keep v, the others become `other`. */
inline f32x16 f_keep_range(f32x16 v, int from, int to, float other) {
  const mask16 keep = static_cast<mask16>(((1u << to) - 1u) & ~((1u << from) - 1u));
  return _mm512_mask_blend_ps(keep, _mm512_set1_ps(other), v);
}
inline float f_sum(f32x16 v) {
  const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
inline float f_max_lane(f32x16 v) {
  const __m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}
inline bool f_any_greater(f32x16 v, float x) { return _mm512_cmp_ps_mask(v, _mm512_set1_ps(x), _CMP_GT_OQ) != 0; }
/** e^x to about 2e-7 relative; 0 below -87. */
inline f32x16 f_exp(f32x16 x) {
  const mask16 vanishes = _mm512_cmp_ps_mask(x, f_set(-87.0f), _CMP_LT_OQ);
  x = f_min(f_set(88.7f), x);
  const f32x16 n = _mm512_roundscale_ps(f_mul(x, f_set(1.44269504088896341f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const f32x16 r = f_fma(n, f_set(2.12194440e-4f), f_fma(n, f_set(-0.693359375f), x));
  f32x16 p = f_fma(f_set(1.9875691500e-4f), r, f_set(1.3981999507e-3f));
  p = f_fma(p, r, f_set(8.3334519073e-3f));
  p = f_fma(p, r, f_set(4.1665795894e-2f));
  p = f_fma(p, r, f_set(1.6666665459e-1f));
  p = f_fma(p, r, f_set(5.0000001201e-1f));
  p = f_fma(f_mul(p, r), r, f_add(r, f_set(1.0f)));
  return _mm512_mask_mov_ps(_mm512_scalef_ps(p, n), vanishes, f_zero());
}
/** 2^x for x <= 0, to about 2e-7 relative, and exactly 1 at 0; 0 below -126. */
inline f32x16 f_exp2(f32x16 x) {
  const mask16 stays = _mm512_cmp_ps_mask(x, f_set(-126.0f), _CMP_NLT_UQ);
  const f32x16 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const f32x16 r = f_sub(x, n);
  f32x16 p = f_fma(f_set(1.3264727e-3f), r, f_set(9.6715127e-3f));
  p = f_fma(p, r, f_set(5.5507337e-2f));
  p = f_fma(p, r, f_set(2.4022242e-1f));
  p = f_fma(p, r, f_set(6.9314698e-1f));
  p = f_fma(p, r, f_set(1.0f));
  return _mm512_maskz_scalef_ps(stays, p, n);
}

inline i32x16 i_set(int32_t x) { return _mm512_set1_epi32(x); }
inline f32x16 i_to_f(i32x16 v) { return _mm512_cvtepi32_ps(v); }
/** Rounds to nearest even and narrows sixteen lanes to signed bytes; the caller guarantees the range. */
inline void f_store_i8(int8_t* p, f32x16 v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v))); }

inline u8x64 u_load(const uint8_t* p) { return _mm512_loadu_si512(p); }
inline u8x64 u_and(u8x64 a, uint8_t mask) { return _mm512_and_si512(a, _mm512_set1_epi8(static_cast<char>(mask))); }
inline u8x64 u_or(u8x64 a, u8x64 b) { return _mm512_or_si512(a, b); }
/** Shifts of 16-bit lanes; the caller masks what crossed a byte. */
template <int N> inline u8x64 u_shift_right(u8x64 a) { return N == 0 ? a : _mm512_srli_epi16(a, N); }
template <int N> inline u8x64 u_shift_left(u8x64 a) { return N == 0 ? a : _mm512_slli_epi16(a, N); }
/** Replaces every byte (0..15) by the table's entry. */
inline u8x64 u_lookup(u8x64 indices, const uint8_t* table16) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table16))), indices);
}

/**
 * Sixteen rows' dot products over 4 * QUADS columns: sum of (w - zero) * a, exact. w: QUADS registers of bytes whose
 * values are at most MAX; a: 4 * QUADS signed bytes; negatedSum: minus the sum of a.
 */
template <int QUADS, int MAX, int ZERO_SHIFT>
inline i32x16 dot_quads(const u8x64* w, const int8_t* a, const int32_t* negatedSum) {
  i32x16 acc = _mm512_setzero_si512();
  if constexpr (ZERO_SHIFT > 0) acc = _mm512_slli_epi32(_mm512_set1_epi32(*negatedSum), ZERO_SHIFT);
  const int32_t* quads = reinterpret_cast<const int32_t*>(a);
  for (int j = 0; j < QUADS; j++) acc = _mm512_dpbusd_epi32(acc, w[j], _mm512_set1_epi32(quads[j]));
  return acc;
}

/** dot_quads of TOKENS tokens, `rowStride` bytes apart: the tokens' chains interleave, so that none waits for its own last step. */
template <int TOKENS, int QUADS, int ZERO_SHIFT>
inline void dot_tokens(const u8x64* w, const int8_t* a, int rowStride, const int32_t* negatedSums, i32x16* acc) {
  for (int t = 0; t < TOKENS; t++) acc[t] = ZERO_SHIFT > 0 ? _mm512_slli_epi32(_mm512_set1_epi32(negatedSums[t]), ZERO_SHIFT) : _mm512_setzero_si512();
  for (int j = 0; j < QUADS; j++)
    for (int t = 0; t < TOKENS; t++) acc[t] = _mm512_dpbusd_epi32(acc[t], w[j], _mm512_set1_epi32(reinterpret_cast<const int32_t*>(a + t * rowStride)[j]));
}

inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

}  // namespace
}  // namespace inferd
