//===- Scaled.h - Cases with FP8 weights ------------------------*- C++ -*-===//
#pragma once

#include "test/Conformance/Case.h"

namespace mbc::test {

/// Makes the first weight of a case FP8 with a scale for each block of `rows` x
/// `cols` of every matrix; its new values.
std::vector<double> makeScaled(Case &test, uint32_t rows, uint32_t cols);

/// How much farther off a product may be, of terms that sum up to `size`, where
/// values of an FP8 weight are rounded to x's type: many rows on tensor cores.
double roundingOf(plan::DType xType, double size);

} // namespace mbc::test
