// Declarations only, for types that ProcessGroupGloo.hpp mentions and libtorch does not ship; this code neither creates nor derives from
// Gloo objects.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

namespace transport {
class UnboundBuffer;
}

}  // namespace gloo
