// Declarations only, for types that ProcessGroupGloo.hpp mentions and libtorch does not ship; this code neither creates nor derives from
// Gloo objects.
#pragma once

namespace gloo::transport {
class Device;
}
