// The kernels of the ISA being compiled, one declaration per op, gathered into its table by kernel_table.cpp.
#pragma once
#include "kernel_table.h"

namespace inferd::INFERD_ISA {

using MatmulFn = void (*)(const MatmulTask& task);
/** The matmul of a format; null where another file has it. */
MatmulFn matmul_float(Format format);
MatmulFn matmul_plain_scales(Format format);
MatmulFn matmul_k_scales(Format format);
void quantize_rows(Rows x, int32_t width, int32_t rowBegin, int32_t rowEnd, ActGroup* act);
void rms_norm(Rows x, Rows out, int32_t width, int32_t groupWidth, float epsilon, const float* weight, int32_t rowBegin, int32_t rowEnd);
void rope(Rows x, int32_t width, int32_t headDim, int32_t rotaryDim, bool interleaved, const float* cosSin, int32_t rowBegin, int32_t rowEnd);
void kv_write(const KvLayer& kv, Rows k, Rows v, const int32_t* slots, int32_t rowBegin, int32_t rowEnd);
void attention(const AttentionTask& task);
void merge_spans(const AttentionTask& task);
void gated_activation(Rows gate, Rows up, Rows out, int32_t width, bool isGelu, int32_t rowBegin, int32_t rowEnd);
void add_rows(Rows a, Rows b, Rows out, int32_t width, int32_t rowBegin, int32_t rowEnd);
void softcap_rows(Rows x, int32_t width, float cap, int32_t rowBegin, int32_t rowEnd);

}  // namespace inferd::INFERD_ISA
