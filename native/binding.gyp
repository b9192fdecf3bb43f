# One static library per instruction set, from the same sources: INFERD_ISA names the lanes that a kernel is compiled for.
# Exceptions are off there and nothing of the C++ library is used, so that no weak symbol of a newer instruction set can
# end up in code that runs everywhere (checked by tests/parity/native-build.test.ts).
{
  "variables": {
    "kernel_sources": [
      "src/add/add_rows.cpp", "src/attention/attention.cpp", "src/dispatch/kernel_table.cpp", "src/gated_activation/gated_activation.cpp",
      "src/kv_cache/kv_write.cpp", "src/matmul/matmul_float.cpp", "src/matmul/matmul_k_scales.cpp", "src/matmul/matmul_plain_scales.cpp",
      "src/quantize_activation/quantize_rows.cpp", "src/rms_norm/rms_norm.cpp", "src/rope/rope.cpp", "src/softcap/softcap_rows.cpp",
    ],
  },
  "target_defaults": {
    "include_dirs": ["include", "src"],
    "cflags!": ["-O2"],
    "cflags": ["-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-uninitialized", "-Wno-maybe-uninitialized", "-Wno-unused-function"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-rtti"],
    "cflags_cc": ["-std=c++20"],
    "xcode_settings": {"CLANG_CXX_LANGUAGE_STANDARD": "c++20", "GCC_OPTIMIZATION_LEVEL": "3"},
  },
  "targets": [
    {
      "target_name": "kernels_scalar", "type": "static_library", "sources": ["<@(kernel_sources)"], "defines": ["INFERD_ISA=scalar"],
      "cflags_cc": ["-fno-exceptions"],
    },
    {
      "target_name": "inferd_kernels",
      "sources": [
        "binding/addon.cpp", "binding/grammar_binding.cpp", "binding/read_config.cpp", "binding/read_step.cpp", "src/dispatch/dispatch.cpp", "src/executor/attention_phase.cpp", "src/executor/executor.cpp", "src/executor/weights.cpp",
        "src/grammar/automaton.cpp", "src/grammar/configurations.cpp", "src/grammar/free_text.cpp", "src/grammar/mask_cache.cpp",
        "src/grammar/mask_composer.cpp", "src/grammar/matcher.cpp", "src/grammar/token_trie.cpp", "src/memory/file_mapping.cpp", "src/memory/huge_buffer.cpp",
        "src/pack/pack_rows.cpp", "src/pack/unpack_block.cpp", "src/pool/thread_pool.cpp", "src/sampling/sample_row.cpp",
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL"],
      "cflags_cc!": ["-fno-exceptions"],
      "cflags_cc": ["-fexceptions"],
      "xcode_settings": {"GCC_ENABLE_CPP_EXCEPTIONS": "YES"},
      "dependencies": ["kernels_scalar"],
      "conditions": [["target_arch=='x64'", {"dependencies": ["kernels_avx2", "kernels_avx512"]}], ["target_arch=='arm64'", {"dependencies": ["kernels_neon"]}]],
    },
  ],
  "conditions": [
    ["target_arch=='x64'", {
      "targets": [
        {
          "target_name": "kernels_avx2", "type": "static_library", "sources": ["<@(kernel_sources)"], "defines": ["INFERD_ISA=avx2"],
          "cflags_cc": ["-fno-exceptions", "-mavx2", "-mfma", "-mf16c"],
        },
        {
          "target_name": "kernels_avx512", "type": "static_library", "sources": ["<@(kernel_sources)"], "defines": ["INFERD_ISA=avx512"],
          "cflags_cc": ["-fno-exceptions", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma", "-mf16c"],
        },
      ],
    }],
    ["target_arch=='arm64'", {
      "targets": [
        {
          "target_name": "kernels_neon", "type": "static_library", "sources": ["<@(kernel_sources)"], "defines": ["INFERD_ISA=neon"],
          "cflags_cc": ["-fno-exceptions", "-march=armv8.2-a+dotprod"],
        },
      ],
    }],
  ],
}
