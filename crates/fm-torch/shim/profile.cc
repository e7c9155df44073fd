// libtorch's profiler, as torch.profiler uses it.

#include "guarded.h"

#include <set>
#include <string>

#include <ATen/Context.h>
#include <torch/csrc/autograd/profiler_kineto.h>

namespace profiler = torch::autograd::profiler;
namespace impl = torch::profiler::impl;

extern "C" {

// Starts to record operators on all threads, and kernels if CUDA is loaded.
char* fm_profile_start(bool cuda) {
  return fm_guarded([&] {
    std::set<impl::ActivityType> activities{impl::ActivityType::CPU};
    if (cuda) {
      activities.insert(impl::ActivityType::CUDA);
    }
    const impl::ProfilerConfig config(impl::ProfilerState::KINETO, /*report_input_shapes=*/true);
    profiler::prepareProfiler(config, activities);
    profiler::enableProfiler(config, activities, {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION});
  });
}

// Stops, and writes the record as a Chrome trace, unless there is no path. libtorch replaces whatever has this path.
char* fm_profile_stop(const char* path) {
  return fm_guarded([&] {
    auto record = profiler::disableProfiler();
    if (path != nullptr) {
      record->save(path);
    }
  });
}

}  // extern "C"
