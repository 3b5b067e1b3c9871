//===- TurnedAttention.h - Norms and rotations before attention -*- C++ -*-===//
#pragma once

#include "test/Conformance/Case.h"

namespace mbc::test {

/// Row kernels that norm and turn heads for an attention over a state.
struct TurnedCase {
  Case test;
  /// Attention commands of all calls that may do it themselves.
  uint64_t turned = 0;
};
std::vector<TurnedCase> turnedCases();

} // namespace mbc::test
