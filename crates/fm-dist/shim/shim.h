// What the halves of the shim share: c10d's objects behind opaque pointers, and exceptions as texts.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <vector>

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

struct FmStore {
  c10::intrusive_ptr<c10d::Store> store;
};

struct FmGroup {
  c10::intrusive_ptr<c10d::Backend> backend;
};

struct FmWork {
  c10::intrusive_ptr<c10d::Work> work;
  // Until the work is done its tensors have to live.
  std::vector<at::Tensor> tensors;
};

// Runs a body. Returns null, or what it threw, for the caller to free.
template <typename Body>
char* fm_guarded(Body body) noexcept {
  const char* text = "an exception without a text";
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup(text);
  }
}
