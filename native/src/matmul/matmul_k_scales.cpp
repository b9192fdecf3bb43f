// Quantized formats with two levels of scales: f16 per 256 columns, small integers per 32 or 16.
#include "dispatch/kernel_entries.h"
#include "matmul/matmul_quantized.h"

namespace inferd::INFERD_ISA {

MatmulFn matmul_k_scales(Format format) {
  switch (format) {
    case Format::q2_k: return Quantized<Format::q2_k>::run;
    case Format::q3_k: return Quantized<Format::q3_k>::run;
    case Format::q4_k: return Quantized<Format::q4_k>::run;
    case Format::q5_k: return Quantized<Format::q5_k>::run;
    case Format::q6_k: return Quantized<Format::q6_k>::run;
    default: return nullptr;
  }
}

}  // namespace inferd::INFERD_ISA
