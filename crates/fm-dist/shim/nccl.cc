// c10d's NCCL backend, in a separate shared object because its symbols are in libtorch_cuda, which is loaded only when a GPU is requested.

#include "shim.h"

#include <chrono>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

extern "C" char* fm_nccl_open(FmStore* store, int rank, int size, int64_t timeout, FmGroup** out) {
  return fm_guarded([&] {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::milliseconds(timeout);
    auto prefixed = c10::make_intrusive<c10d::PrefixStore>("nccl", store->store);
    *out = new FmGroup{c10::make_intrusive<c10d::ProcessGroupNCCL>(prefixed, rank, size, options)};
  });
}
