// Soft-capping of whole rows in place (final logits of Gemma 2).
#include "softcap/softcap.h"

#include "dispatch/kernel_entries.h"

namespace inferd::INFERD_ISA {

void softcap_rows(Rows x, int32_t width, float cap, int32_t rowBegin, int32_t rowEnd) {
  for (int32_t row = rowBegin; row < rowEnd; row++) {
    for (int32_t i = 0; i < width; i += 16) {
      const int n = width - i < 16 ? width - i : 16;
      f_store_n(x.row(row) + i, softcap_lanes(f_load_n(x.row(row) + i, n), cap), n);
    }
  }
}

}  // namespace inferd::INFERD_ISA
