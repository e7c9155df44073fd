// Declarations only, for what ProcessGroupGloo.hpp mentions and libtorch does not ship: no object of Gloo is made or derived from here.
#pragma once
