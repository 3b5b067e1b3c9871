//===- Fusions.h - Products with what is around them ------------*- C++ -*-===//
#pragma once

#include "test/Conformance/Case.h"

namespace mbc::test {

/// A program in which a backend may give row kernels to the products beside
/// them, with and without memory that is used twice, and how many products that
/// makes in its one call: a backend that takes more reads what is overwritten.
struct FusionCase {
  Case test;
  uint64_t fusedProducts;
};
std::vector<FusionCase> fusionCases();

} // namespace mbc::test
