// out = a + b; out may be either.
#include "dispatch/kernel_entries.h"
#include "simd/simd.h"

namespace inferd::INFERD_ISA {

void add_rows(Rows a, Rows b, Rows out, int32_t width, int32_t rowBegin, int32_t rowEnd) {
  for (int32_t row = rowBegin; row < rowEnd; row++) {
    for (int32_t i = 0; i < width; i += 16) {
      const int n = width - i < 16 ? width - i : 16;
      f_store_n(out.row(row) + i, f_add(f_load_n(a.row(row) + i, n), f_load_n(b.row(row) + i, n)), n);
    }
  }
}

}  // namespace inferd::INFERD_ISA
