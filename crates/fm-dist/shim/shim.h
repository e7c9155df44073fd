// Shared by the parts of the shim: c10d's objects behind opaque pointers.
#pragma once

#include <cstdint>
#include <vector>

// From fm-torch's shim: exceptions as texts.
#include "guarded.h"

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
  // The tensors must live until the work is done.
  std::vector<at::Tensor> tensors;
};
