// Picks the kernels' instruction set at run time.
#pragma once
#include "kernel_table.h"

namespace inferd {

/** name: "scalar", "avx2", "avx512", "neon", or "" for the best that this machine has. Null when the machine or the build lacks it. */
const KernelTable* find_kernels(const char* name);

}  // namespace inferd
