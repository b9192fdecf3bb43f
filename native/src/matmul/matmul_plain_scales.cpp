// Quantized formats with one f16 or bf16 scale (and minimum) per 32 columns.
#include "dispatch/kernel_entries.h"
#include "matmul/matmul_quantized.h"

namespace inferd::INFERD_ISA {

MatmulFn matmul_plain_scales(Format format) {
  switch (format) {
    case Format::q8_0: return Quantized<Format::q8_0>::run;
    case Format::q4_0: return Quantized<Format::q4_0>::run;
    case Format::q4_1: return Quantized<Format::q4_1>::run;
    case Format::q5_0: return Quantized<Format::q5_0>::run;
    case Format::q5_1: return Quantized<Format::q5_1>::run;
    case Format::iq4_nl: return Quantized<Format::iq4_nl>::run;
    case Format::mxfp4: return Quantized<Format::mxfp4>::run;
    default: return nullptr;
  }
}

}  // namespace inferd::INFERD_ISA
