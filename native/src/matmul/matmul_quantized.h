// Quantized matmul on packed panels: sixteen rows by up to kTokenTile tokens. For each group of 32 columns the weights
// are unpacked once into eight registers; each token's integer dot product starts at minus zero times its activation
// sum, so no subtraction is left, and is scaled into an f32 accumulator. A token's arithmetic never depends on how
// many tokens share the tile: that is what makes a batch's rows bitwise equal to the same rows alone.
#pragma once
#include "kernel_table.h"
#include "simd/simd.h"

namespace inferd {
namespace {

template <Format FORMAT> struct Quantized {
  static constexpr FormatTraits T = traits_of(FORMAT);
  static constexpr size_t kPayload = payload_group_bytes(T);

  /** The group's codes as bytes: quad j in w[j]. */
  static inline void load_codes(const uint8_t* p, u8x64* w) {
    if constexpr (T.bits == 8) {
      for (int j = 0; j < 8; j++) w[j] = u_load(p + j * 64);
      return;
    }
    for (int j = 0; j < 4; j++) {
      const u8x64 both = u_load(p + j * 64);
      w[j] = u_and(both, 15);
      w[j + 4] = u_and(u_shift_right<4>(both), 15);
    }
    if constexpr (T.lookup != 0)
      for (int j = 0; j < 8; j++) w[j] = u_lookup(w[j], kLookups[T.lookup]);
    if constexpr (T.bits == 5) add_fifth_bits(u_load(p + 256), w);
    if constexpr (T.bits == 6) {
      add_two_bits(u_load(p + 256), w);
      add_two_bits(u_load(p + 320), w + 4);
    }
  }

  static inline void add_fifth_bits(u8x64 bits, u8x64* w) {
    w[0] = u_or(w[0], u_and(u_shift_left<4>(u_and(bits, 1)), 16));
    w[1] = u_or(w[1], u_and(u_shift_left<3>(u_and(bits, 2)), 16));
    w[2] = u_or(w[2], u_and(u_shift_left<2>(u_and(bits, 4)), 16));
    w[3] = u_or(w[3], u_and(u_shift_left<1>(u_and(bits, 8)), 16));
    w[4] = u_or(w[4], u_and(bits, 16));
    w[5] = u_or(w[5], u_and(u_shift_right<1>(bits), 16));
    w[6] = u_or(w[6], u_and(u_shift_right<2>(bits), 16));
    w[7] = u_or(w[7], u_and(u_shift_right<3>(bits), 16));
  }

  static inline void add_two_bits(u8x64 bits, u8x64* w) {
    w[0] = u_or(w[0], u_shift_left<4>(u_and(bits, 3)));
    w[1] = u_or(w[1], u_shift_left<2>(u_and(bits, 12)));
    w[2] = u_or(w[2], u_and(bits, 48));
    w[3] = u_or(w[3], u_and(u_shift_right<2>(bits), 48));
  }

  static inline f32x16 load_half(const uint8_t* p) {
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(p);
    return FORMAT == Format::mxfp4 ? f_load_bf16(halves) : f_load_f16(halves);
  }

  struct Scales {
    f32x16 scale[2], min[2];
  };

  /** Scales (and minimums) of the group's one or two sub-groups. */
  static inline Scales load_scales(const uint8_t* scales, size_t group) {
    const uint8_t* at = scales + scale_offset(T, group);
    Scales s;
    if constexpr (!T.isK) {
      s.scale[0] = load_half(at);
      if constexpr (T.hasMin) s.min[0] = load_half(at + 32);
    } else {
      constexpr int kSubs = kGroupColumns / T.subGroup;
      const uint8_t* header = scales + group / 8 * super_bytes(T);
      const f32x16 d = load_half(header);
      for (int i = 0; i < kSubs; i++) s.scale[i] = f_mul(d, f_load_i8(reinterpret_cast<const int8_t*>(at) + i * 16));
      if constexpr (T.hasMin) {
        const f32x16 dmin = f_mul(load_half(header + 32), f_set(-1.0f));
        for (int i = 0; i < kSubs; i++) s.min[i] = f_mul(dmin, f_load_i8(reinterpret_cast<const int8_t*>(at) + (kSubs + i) * 16));
      }
    }
    return s;
  }

  /** Adds a token's integer dot product of one undivided group. */
  static inline f32x16 scale_dot(i32x16 dot, const Scales& s, const ActGroup& a, int t, f32x16 acc) {
    f32x16 product = f_mul(i_to_f(dot), s.scale[0]);
    if constexpr (T.hasMin) product = f_fma(s.min[0], f_set(a.sum[t]), product);
    return f_fma(product, f_set(a.d[t]), acc);
  }

  /** What one token adds for this group. */
  static inline f32x16 accumulate(const u8x64* w, const Scales& s, const ActGroup& a, int t, f32x16 acc) {
    if constexpr (T.subGroup == 32) {
      return scale_dot(dot_quads<8, T.maxByte, T.zeroShift>(w, a.q[t], &a.negSum[t]), s, a, t, acc);
    } else {
      f32x16 product = f_mul(i_to_f(dot_quads<4, T.maxByte, T.zeroShift>(w, a.q[t], &a.negHalf[0][t])), s.scale[0]);
      product = f_fma(i_to_f(dot_quads<4, T.maxByte, T.zeroShift>(w + 4, a.q[t] + 16, &a.negHalf[1][t])), s.scale[1], product);
      if constexpr (T.hasMin) product = f_fma(s.min[1], f_set(a.half[1][t]), f_fma(s.min[0], f_set(a.half[0][t]), product));
      return f_fma(product, f_set(a.d[t]), acc);
    }
  }

  /** Tokens [token, token + TOKENS), all in one activation tile, against one panel. */
  template <int TOKENS> static inline void tile(const MatmulTask& task, int32_t panel, int32_t token) {
    const PackedMatrix& m = *task.weight;
    const size_t numGroups = static_cast<size_t>(m.numColumns / kGroupColumns);
    const uint8_t* payload = m.panel(panel);
    const uint8_t* scales = payload + numGroups * kPayload;
    const ActGroup* act = task.act + static_cast<size_t>(token / kActTokens) * numGroups;
    const int lane = token % kActTokens;
    f32x16 acc[TOKENS];
    for (int t = 0; t < TOKENS; t++) acc[t] = f_zero();
    for (size_t g = 0; g < numGroups; g++) {
      u8x64 w[8];
      for (size_t line = 0; line < kPayload; line += 64) prefetch(payload + 4096 + line);
      load_codes(payload, w);
      const Scales s = load_scales(scales, g);
      if constexpr (kInterleavesTokens && TOKENS == 8 && T.subGroup == 32) {
        i32x16 dots[TOKENS];
        dot_tokens<TOKENS, 8, T.zeroShift>(w, act[g].q[lane], kGroupColumns, &act[g].negSum[lane], dots);
        for (int t = 0; t < TOKENS; t++) acc[t] = scale_dot(dots[t], s, act[g], lane + t, acc[t]);
      } else {
        for (int t = 0; t < TOKENS; t++) acc[t] = accumulate(w, s, act[g], lane + t, acc[t]);
      }
      payload += kPayload;
    }
    store<TOKENS>(task, panel, token, acc);
  }

  template <int TOKENS> static inline void store(const MatmulTask& task, int32_t panel, int32_t token, const f32x16* acc) {
    const int32_t row = panel * kPanelRows;
    const int32_t n = task.weight->numRows - row < kPanelRows ? task.weight->numRows - row : kPanelRows;
    for (int t = 0; t < TOKENS; t++) {
      f32x16 v = acc[t];
      if (task.bias != nullptr) v = f_add(v, f_load_n(task.bias + row, n));
      if (task.hasResidual) v = f_add(v, f_load_n(task.residual.row(token + t) + row, n));
      f_store_n(task.out.row(token + t) + row, v, n);
    }
  }

  static void run(const MatmulTask& task) {
    for (int32_t panel = task.panelBegin; panel < task.panelEnd; panel++) {
      int32_t token = task.tokenBegin;
      while (token < task.tokenEnd) {
        const int32_t inTile = kActTokens - token % kActTokens;
        const int32_t left = task.tokenEnd - token < inTile ? task.tokenEnd - token : inTile;
        if (kTokenTile >= 8 && left >= 8) {
          tile<(kTokenTile >= 8 ? 8 : 1)>(task, panel, token);
          token += 8;
        } else if (left >= 4) {
          tile<4>(task, panel, token);
          token += 4;
        } else if (left >= 2) {
          tile<2>(task, panel, token);
          token += 2;
        } else {
          tile<1>(task, panel, token);
          token += 1;
        }
      }
    }
  }
};

}  // namespace
}  // namespace inferd
