#include "dispatch/dispatch.h"

#include <cstring>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace inferd {
namespace {

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 && __builtin_cpu_supports("f16c") != 0; }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}
#endif

#if defined(__aarch64__)
/** The dot product of ARMv8.2; every Apple processor that runs macOS has it. */
bool has_neon() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__)
  return true;
#else
  return false;
#endif
}
#endif

}  // namespace

const KernelTable* find_kernels(const char* name) {
  const bool isAny = std::strcmp(name, "") == 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if ((isAny || std::strcmp(name, "avx512") == 0) && has_avx512()) return &avx512::kernel_table();
  if ((isAny || std::strcmp(name, "avx2") == 0) && has_avx2()) return &avx2::kernel_table();
#endif
#if defined(__aarch64__)
  if ((isAny || std::strcmp(name, "neon") == 0) && has_neon()) return &neon::kernel_table();
#endif
  return isAny || std::strcmp(name, "scalar") == 0 ? &scalar::kernel_table() : nullptr;
}

}  // namespace inferd
