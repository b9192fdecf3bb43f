// The suites of the native unit tests; each exits with 1 at the first fault.
#pragma once
#include "kernel_table.h"

namespace inferd::test {

void test_matmul(const KernelTable& kernels);
void test_attention(const KernelTable& kernels);
void test_rows(const KernelTable& kernels);
void test_sampling();
void test_pool();
void test_grammar();
void test_grammar_masks();
/** Steps on several threads; kernels may be toys that only touch the same rows. */
void test_executor(const KernelTable& kernels);

}  // namespace inferd::test
