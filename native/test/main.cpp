// Runs the suites that are named on the command line: kernels (on every instruction set of this machine), sampling, pool,
// executor, grammar. Behind the name of an instruction set stand the bits that its kernels gave.
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "dispatch/dispatch.h"
#include "guarded.h"
#include "suites.h"

using namespace inferd;

static void test_kernels() {
  for (const char* isa : {"scalar", "avx2", "avx512", "neon"}) {
    const KernelTable* kernels = find_kernels(isa);
    if (kernels == nullptr) continue;
    test::expect(std::strcmp(kernels->name, isa) == 0, "the table has another name");
    test::seen_bits() = 0;
    test::test_matmul(*kernels);
    test::test_attention(*kernels);
    test::test_rows(*kernels);
    std::printf("kernels %s ok %016" PRIx64 "\n", isa, test::seen_bits());
  }
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "kernels") == 0) test_kernels();
    if (std::strcmp(argv[i], "executor") == 0) test::test_executor(*find_kernels(""));
    if (std::strcmp(argv[i], "sampling") == 0) test::test_sampling();
    if (std::strcmp(argv[i], "pool") == 0) test::test_pool();
    if (std::strcmp(argv[i], "grammar") == 0) test::test_grammar(), test::test_grammar_masks();
  }
  std::printf("ok\n");
  return 0;
}
