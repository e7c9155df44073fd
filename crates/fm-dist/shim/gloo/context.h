// Declarations only, for what ProcessGroupGloo.hpp mentions and libtorch does not ship: no object of Gloo is made or derived from here.
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
