//===- Experts.h - Values of experts, by the experts' numbers ---*- C++ -*-===//
#pragma once

#include "runtime/compare/Graph.h"

namespace mbc::compare {

/// Puts what each token has of several experts in the order of the experts'
/// numbers. A program has the best first, an order that turns over where two
/// are nearly as good, though nothing else differs.
void sortByExpert(const Graph &graph, Values &values);

} // namespace mbc::compare
