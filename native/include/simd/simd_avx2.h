// Sixteen lanes in two 256-bit registers. Needs AVX2, FMA, F16C.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace inferd {
namespace {

struct f32x16 {
  __m256 lo, hi;
};
struct i32x16 {
  __m256i lo, hi;
};
/** 64 bytes: four consecutive columns of sixteen rows. */
struct u8x64 {
  __m256i lo, hi;
};

constexpr int kTokenTile = 4;
constexpr int kFloatTokenTile = 4;
constexpr bool kInterleavesTokens = false;

inline f32x16 f_zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline f32x16 f_set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline f32x16 f_load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void f_store(float* p, f32x16 v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}
/** All ones in the lanes [from, to) of eight lanes that begin at lane `base`. */
inline __m256i m_range(int base, int from, int to) {
  const __m256i lane = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(base));
  return _mm256_and_si256(_mm256_cmpgt_epi32(lane, _mm256_set1_epi32(from - 1)), _mm256_cmpgt_epi32(_mm256_set1_epi32(to), lane));
}
inline f32x16 f_load_n(const float* p, int n) {
  const __m256 lo = _mm256_maskload_ps(p, m_range(0, 0, n));
  return {lo, n > 8 ? _mm256_maskload_ps(p + 8, m_range(8, 0, n)) : _mm256_setzero_ps()};
}
inline void f_store_n(float* p, f32x16 v, int n) {
  _mm256_maskstore_ps(p, m_range(0, 0, n), v.lo);
  if (n > 8) _mm256_maskstore_ps(p + 8, m_range(8, 0, n), v.hi);
}
inline f32x16 f_add(f32x16 a, f32x16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
inline f32x16 f_sub(f32x16 a, f32x16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
inline f32x16 f_mul(f32x16 a, f32x16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
inline f32x16 f_div(f32x16 a, f32x16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
inline f32x16 f_max(f32x16 a, f32x16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
inline f32x16 f_min(f32x16 a, f32x16 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
inline f32x16 f_fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
inline f32x16 f_abs(f32x16 a) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(a.lo, mask), _mm256_and_ps(a.hi, mask)};
}
inline f32x16 f_load_f16(const uint16_t* p) {
  const __m128i* halves = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
inline __m256 widen_bf16(__m128i v) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16)); }
inline f32x16 f_load_bf16(const uint16_t* p) {
  const __m128i* halves = reinterpret_cast<const __m128i*>(p);
  return {widen_bf16(_mm_loadu_si128(halves)), widen_bf16(_mm_loadu_si128(halves + 1))};
}
inline void f_store_f16(uint16_t* p, f32x16 v) {
  __m128i* halves = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(halves, _mm256_cvtps_ph(v.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(halves + 1, _mm256_cvtps_ph(v.hi, _MM_FROUND_TO_NEAREST_INT));
}
inline f32x16 f_load_i8(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}
/** Lanes [from, to) keep v, the others become `other`. */
inline f32x16 f_keep_range(f32x16 v, int from, int to, float other) {
  const __m256 o = _mm256_set1_ps(other);
  return {_mm256_blendv_ps(o, v.lo, _mm256_castsi256_ps(m_range(0, from, to))), _mm256_blendv_ps(o, v.hi, _mm256_castsi256_ps(m_range(8, from, to)))};
}
inline float f_sum(f32x16 v) {
  const __m256 a = _mm256_add_ps(v.lo, v.hi);
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
inline float f_max_lane(f32x16 v) {
  const __m256 a = _mm256_max_ps(v.lo, v.hi);
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}
inline bool f_any_greater(f32x16 v, float x) {
  const __m256 other = _mm256_set1_ps(x);
  return _mm256_movemask_ps(_mm256_or_ps(_mm256_cmp_ps(v.lo, other, _CMP_GT_OQ), _mm256_cmp_ps(v.hi, other, _CMP_GT_OQ))) != 0;
}
inline __m256 exp8(__m256 x) {
  const __m256 vanishes = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_LT_OQ);
  x = _mm256_min_ps(_mm256_set1_ps(88.3f), _mm256_max_ps(_mm256_set1_ps(-87.3f), x));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(2.12194440e-4f), _mm256_fmadd_ps(n, _mm256_set1_ps(-0.693359375f), x));
  __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(1.9875691500e-4f), r, _mm256_set1_ps(1.3981999507e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
  p = _mm256_fmadd_ps(_mm256_mul_ps(p, r), r, _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
  const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(vanishes, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
}
/** e^x to about 2e-7 relative; 0 below -87. */
inline f32x16 f_exp(f32x16 x) { return {exp8(x.lo), exp8(x.hi)}; }
inline __m256 exp2_8(__m256 x) {
  const __m256 vanishes = _mm256_cmp_ps(x, _mm256_set1_ps(-126.0f), _CMP_LT_OQ);
  const __m256 n = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 r = _mm256_sub_ps(x, n);
  __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(1.3264727e-3f), r, _mm256_set1_ps(9.6715127e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.5507337e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(2.4022242e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(6.9314698e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(vanishes, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
}
/** 2^x for x <= 0, to about 2e-7 relative, and exactly 1 at 0; 0 below -126. */
inline f32x16 f_exp2(f32x16 x) { return {exp2_8(x.lo), exp2_8(x.hi)}; }

inline i32x16 i_set(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline f32x16 i_to_f(i32x16 v) { return {_mm256_cvtepi32_ps(v.lo), _mm256_cvtepi32_ps(v.hi)}; }
/** Rounds to nearest even and narrows sixteen lanes to signed bytes; the caller guarantees the range. */
inline void f_store_i8(int8_t* p, f32x16 v) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_cvtps_epi32(v.lo), _mm256_cvtps_epi32(v.hi)), 0xd8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

inline u8x64 u_load(const uint8_t* p) {
  const __m256i* v = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(v), _mm256_loadu_si256(v + 1)};
}
inline u8x64 u_and(u8x64 a, uint8_t mask) {
  const __m256i m = _mm256_set1_epi8(static_cast<char>(mask));
  return {_mm256_and_si256(a.lo, m), _mm256_and_si256(a.hi, m)};
}
inline u8x64 u_or(u8x64 a, u8x64 b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
/** Shifts of 16-bit lanes; the caller masks what crossed a byte. */
template <int N> inline u8x64 u_shift_right(u8x64 a) { return {_mm256_srli_epi16(a.lo, N), _mm256_srli_epi16(a.hi, N)}; }
template <int N> inline u8x64 u_shift_left(u8x64 a) { return {_mm256_slli_epi16(a.lo, N), _mm256_slli_epi16(a.hi, N)}; }
/** Replaces every byte (0..15) by the table's entry. */
inline u8x64 u_lookup(u8x64 indices, const uint8_t* table16) {
  const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table16)));
  return {_mm256_shuffle_epi8(table, indices.lo), _mm256_shuffle_epi8(table, indices.hi)};
}

/** Sum over quads of (w - 128) * a: the sign moves from w to a, because maddubs wants one unsigned operand and saturates. */
template <int QUADS> inline i32x16 dot_signed_quads(const u8x64* w, const int32_t* quads) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80)), ones = _mm256_set1_epi16(1);
  i32x16 acc = i_set(0);
  for (int j = 0; j < QUADS; j++) {
    const __m256i a = _mm256_set1_epi32(quads[j]);
    const __m256i lo = _mm256_xor_si256(w[j].lo, flip), hi = _mm256_xor_si256(w[j].hi, flip);
    const __m256i dotLo = _mm256_maddubs_epi16(_mm256_abs_epi8(lo), _mm256_sign_epi8(a, lo));
    const __m256i dotHi = _mm256_maddubs_epi16(_mm256_abs_epi8(hi), _mm256_sign_epi8(a, hi));
    acc.lo = _mm256_add_epi32(acc.lo, _mm256_madd_epi16(dotLo, ones));
    acc.hi = _mm256_add_epi32(acc.hi, _mm256_madd_epi16(dotHi, ones));
  }
  return acc;
}

/** One 32-byte half of dot_quads for w <= 127. Sums of 16-bit pairs stay below 32768 for 8 quads of w <= 15. */
template <int QUADS, int MAX> inline __m256i dot_half(const __m256i* w, int stride, const int32_t* quads) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i words = _mm256_setzero_si256(), acc = _mm256_setzero_si256();
  for (int j = 0; j < QUADS; j++) {
    const __m256i dot = _mm256_maddubs_epi16(w[j * stride], _mm256_set1_epi32(quads[j]));
    if constexpr (MAX * 127 * 2 * QUADS < 32768) words = _mm256_add_epi16(words, dot);
    else acc = _mm256_add_epi32(acc, _mm256_madd_epi16(dot, ones));
  }
  if constexpr (MAX * 127 * 2 * QUADS < 32768) acc = _mm256_madd_epi16(words, ones);
  return acc;
}

/**
 * Sixteen rows' dot products over 4 * QUADS columns: sum of (w - zero) * a, exact. w: QUADS registers of bytes whose
 * values are at most MAX; a: 4 * QUADS signed bytes; negatedSum: minus the sum of a.
 */
template <int QUADS, int MAX, int ZERO_SHIFT>
inline i32x16 dot_quads(const u8x64* w, const int8_t* a, const int32_t* negatedSum) {
  const int32_t* quads = reinterpret_cast<const int32_t*>(a);
  if constexpr (MAX > 127) {
    static_assert(ZERO_SHIFT == 7, "bytes above 127 are offset by 128");
    return dot_signed_quads<QUADS>(w, quads);
  } else {
    i32x16 acc = {dot_half<QUADS, MAX>(&w[0].lo, 2, quads), dot_half<QUADS, MAX>(&w[0].hi, 2, quads)};
    if constexpr (ZERO_SHIFT > 0) {
      const __m256i start = _mm256_slli_epi32(_mm256_set1_epi32(*negatedSum), ZERO_SHIFT);
      acc = {_mm256_add_epi32(acc.lo, start), _mm256_add_epi32(acc.hi, start)};
    }
    return acc;
  }
}

template <int TOKENS, int QUADS, int ZERO_SHIFT> inline void dot_tokens(const u8x64*, const int8_t*, int, const int32_t*, i32x16*) {}

inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

}  // namespace
}  // namespace inferd
