// c10d's TCPStore and Gloo, as C functions. Each returns null, or an error text that the caller frees.

#include "shim.h"

#include <chrono>
#include <string>

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

using std::chrono::milliseconds;

namespace {

constexpr int kFatal = 3;

std::vector<uint8_t> bytes_of(const uint8_t* data, size_t length) {
  return std::vector<uint8_t>(data, data + length);
}

}  // namespace

extern "C" {

char* fm_store_open(const char* host, uint16_t port, bool server, size_t world, int64_t timeout, const char* prefix, FmStore** out) {
  return fm_guarded([&] {
    // Errors are returned as values; libtorch's own log of them, with stack traces, is printed only if TORCH_CPP_LOG_LEVEL is set.
    if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) {
      FLAGS_caffe2_log_level = kFatal;
    } else {
      c10::initLogging();
    }
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = server;
    options.numWorkers = world;
    // Missing processes are detected when the groups are opened.
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout);
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    *out = new FmStore{c10::make_intrusive<c10d::PrefixStore>(prefix, store)};
  });
}

void fm_store_close(FmStore* store) {
  delete store;
}

char* fm_store_set(FmStore* store, const char* key, const uint8_t* data, size_t length) {
  return fm_guarded([&] { store->store->set(key, bytes_of(data, length)); });
}

// Whether a key is set; if so, *data is its value, which the caller frees.
char* fm_store_peek(FmStore* store, const char* key, bool* found, uint8_t** data, size_t* length) {
  return fm_guarded([&] {
    *found = store->store->check({key});
    if (*found) {
      const auto value = store->store->get(key);
      *length = value.size();
      *data = static_cast<uint8_t*>(std::malloc(value.size() + 1));
      std::memcpy(*data, value.data(), value.size());
    }
  });
}

char* fm_gloo_open(FmStore* store, int rank, int size, int64_t timeout, const char* interface, const char* host, FmGroup** out) {
  return fm_guarded([&] {
    auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(timeout));
    using Group = c10d::ProcessGroupGloo;
    if (interface != nullptr) {
      options->devices.push_back(Group::createDeviceForInterface(interface));
    } else if (host != nullptr) {
      options->devices.push_back(Group::createDeviceForHostname(host));
    } else {
      options->devices.push_back(Group::createDefaultDevice());
    }
    auto prefixed = c10::make_intrusive<c10d::PrefixStore>("gloo", store->store);
    *out = new FmGroup{c10::make_intrusive<Group>(prefixed, rank, size, options)};
  });
}

// NCCL needs a shutdown to destroy its communicators in order; for Gloo it does nothing.
void fm_group_close(FmGroup* group) {
  std::free(fm_guarded([&] { group->backend->shutdown(); }));
  delete group;
}

// Replaces the tensor by the sum or the maximum over all ranks.
char* fm_all_reduce(FmGroup* group, at::Tensor* tensor, bool largest, FmWork** out) {
  return fm_guarded([&] {
    std::vector<at::Tensor> tensors{*tensor};
    c10d::AllreduceOptions options;
    options.reduceOp = largest ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
    auto work = group->backend->allreduce(tensors, options);
    *out = new FmWork{work, tensors};
  });
}

char* fm_broadcast(FmGroup* group, at::Tensor* tensor, int root, FmWork** out) {
  return fm_guarded([&] {
    std::vector<at::Tensor> tensors{*tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    auto work = group->backend->broadcast(tensors, options);
    *out = new FmWork{work, tensors};
  });
}

// `gathered` has a leading dimension with one row per rank.
char* fm_all_gather(FmGroup* group, at::Tensor* tensor, at::Tensor* gathered, FmWork** out) {
  return fm_guarded([&] {
    std::vector<at::Tensor> tensors{*tensor};
    std::vector<std::vector<at::Tensor>> rows{gathered->unbind(0)};
    auto work = group->backend->allgather(rows, tensors);
    tensors.push_back(*gathered);
    *out = new FmWork{work, tensors};
  });
}

char* fm_barrier(FmGroup* group, FmWork** out) {
  return fm_guarded([&] { *out = new FmWork{group->backend->barrier(), {}}; });
}

// Waits until work is done and frees it. For GPU work, the current stream then waits for it.
char* fm_wait(FmWork* work) {
  char* problem = fm_guarded([&] { work->work->wait(); });
  delete work;
  return problem;
}

}  // extern "C"
