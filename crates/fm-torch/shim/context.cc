// Global settings of libtorch.

#include "guarded.h"

#include <ATen/Context.h>

extern "C" {

// level: 0 highest (f32), 1 high (TF32 if the GPU has it), 2 medium (bf16).
char* fm_set_matmul_precision(int level) {
  return fm_guarded([&] {
    const char* names[] = {"highest", "high", "medium"};
    at::globalContext().setFloat32MatmulPrecision(names[level]);
    at::globalContext().setAllowTF32CuDNN(level > 0);
  });
}

int fm_matmul_precision() {
  return static_cast<int>(at::globalContext().float32MatmulPrecision());
}

void fm_set_cudnn_benchmark(bool on) {
  at::globalContext().setBenchmarkCuDNN(on);
}

bool fm_cudnn_benchmark() {
  return at::globalContext().benchmarkCuDNN();
}

void fm_set_deterministic(bool on) {
  if (on) {
    // cuBLAS is deterministic only with a separate workspace for each stream; a value set by the user is kept.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  }
  at::globalContext().setDeterministicAlgorithms(on, false);
  at::globalContext().setDeterministicCuDNN(on);
}

bool fm_deterministic() {
  return at::globalContext().deterministicAlgorithms();
}

}  // extern "C"
