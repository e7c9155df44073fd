// Whether libtorch finds CUDA, and the path of its CPU half.

#include "guarded.h"

#include <dlfcn.h>

#include <typeinfo>

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/ops/empty.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

extern "C" {

// Creates the hooks if they do not exist; this decides for the whole process whether libtorch finds CUDA.
bool fm_cuda_registered() {
  const auto& hooks = at::detail::getCUDAHooks();
  return typeid(hooks) != typeid(at::CUDAHooksInterface);
}

// The number of devices; also initializes CUDA, so that a missing driver is an error here rather than during a run.
char* fm_cuda_devices(int64_t* count) {
  return fm_guarded([&] {
    *count = at::detail::getCUDAHooks().deviceCount();
    if (*count > 0) {
      at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    }
  });
}

// Makes a device the current one of this thread.
char* fm_cuda_use(int64_t index) {
  return fm_guarded([&] {
    const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
    guard.setDevice(c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index)));
  });
}

// The path of libtorch_cpu; the caller frees it.
char* fm_libtorch_path() {
  Dl_info info;
  const auto* inside = reinterpret_cast<const void*>(&at::globalContext);
  return dladdr(inside, &info) != 0 && info.dli_fname != nullptr ? strdup(info.dli_fname) : nullptr;
}

// Bytes in tensors now and their maximum; bytes reserved on the device now and their maximum.
char* fm_cuda_memory(int64_t device, int64_t* bytes) {
  return fm_guarded([&] {
    const auto stats = c10::getDeviceAllocator(c10::kCUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(device));
    const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    bytes[0] = stats.allocated_bytes[all].current;
    bytes[1] = stats.allocated_bytes[all].peak;
    bytes[2] = stats.reserved_bytes[all].current;
    bytes[3] = stats.reserved_bytes[all].peak;
  });
}

// A copy of these bytes in pinned memory; the caller owns it.
char* fm_pinned(const uint8_t* bytes, size_t count, at::Tensor** out) {
  return fm_guarded([&] {
    auto tensor = at::empty({static_cast<int64_t>(count)}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
    std::memcpy(tensor.mutable_data_ptr(), bytes, count);
    *out = new at::Tensor(std::move(tensor));
  });
}

// Resets the peaks to the current values.
char* fm_cuda_reset_peaks(int64_t device) {
  return fm_guarded([&] {
    c10::getDeviceAllocator(c10::kCUDA)->resetPeakStats(static_cast<c10::DeviceIndex>(device));
  });
}

}  // extern "C"
