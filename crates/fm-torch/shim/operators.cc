// Counts the operators and memory allocations of libtorch on this thread and on the threads that continue its work.

#include <ATen/record_function.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <atomic>
#include <cstdint>
#include <memory>

namespace {

std::atomic<int64_t> operators{0}, allocations{0}, bytes{0};
at::CallbackHandle handle = at::INVALID_CALLBACK_HANDLE;

struct Memory : c10::MemoryReportingInfoBase {
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override {
    if (size > 0) {
      allocations += 1;
      bytes += size;
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
};

}  // namespace

extern "C" void fm_count_start() {
  operators = allocations = bytes = 0;
  c10::ThreadLocalDebugInfo::_push(c10::DebugInfoKind::PROFILER_STATE, std::make_shared<Memory>());
  auto callback = at::RecordFunctionCallback([](const at::RecordFunction&) -> std::unique_ptr<at::ObserverContext> {
    operators += 1;
    return nullptr;
  });
  handle = at::addThreadLocalCallback(callback.scopes({at::RecordScope::FUNCTION}));
}

extern "C" void fm_count_stop(int64_t* counts) {
  at::removeCallback(handle);
  c10::ThreadLocalDebugInfo::_pop(c10::DebugInfoKind::PROFILER_STATE);
  counts[0] = operators;
  counts[1] = allocations;
  counts[2] = bytes;
}
