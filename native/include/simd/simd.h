// The sixteen-lane vocabulary in which every kernel is written once. Each kernel file is compiled once per ISA, with
// INFERD_ISA set to scalar, avx2, avx512 or neon; the lanes' meaning is the same in all, only rounding of a fused
// multiply-add differs in scalar. Everything has internal linkage: an ISA file may leave no weak symbol behind.
#pragma once
#include <cstdint>

#define INFERD_ISA_IS_scalar 1
#define INFERD_ISA_IS_avx2 2
#define INFERD_ISA_IS_avx512 3
#define INFERD_ISA_IS_neon 4
#define INFERD_ISA_CAT(name) INFERD_ISA_IS_##name
#define INFERD_ISA_NUMBER(name) INFERD_ISA_CAT(name)

#if INFERD_ISA_NUMBER(INFERD_ISA) == 4
#include "simd/simd_neon.h"
#elif INFERD_ISA_NUMBER(INFERD_ISA) == 3
#include "simd/simd_avx512.h"
#elif INFERD_ISA_NUMBER(INFERD_ISA) == 2
#include "simd/simd_avx2.h"
#else
#include "simd/simd_scalar.h"
#endif
