//===- Locate.h - The first step that differs -------------------*- C++ -*-===//
#pragma once

#include "runtime/compare/Graph.h"

#include <optional>

namespace mbc::compare {

/// A layer, or an operation outside of layers, on both sides.
struct Step {
  std::string stack; ///< of a layer
  int64_t layer = -1;
  std::string name;      ///< "decoder 3", "embedding"
  std::string operation; ///< outside of layers
  bool seen = true;      ///< false: a side has no such value
  Errors errors;
  bool agrees = true;
};

/// Compares what the sides give outside of operations of layers, in the order
/// of A. What B alone has is not a step.
std::vector<Step> compareSteps(const Graph &graph, const Values &a,
                               const Values &b, double tolerance);

enum class OperationState {
  Agrees,
  Differs,
  OnlyA,
  OnlyB,
  Unseen, ///< in both, but a side has no value of it
};

/// One operation on both sides, matched by name.
struct OperationComparison {
  Operation operation; ///< of A where A has it
  OperationState state = OperationState::Agrees;
  Errors errors; ///< the worst of its results
  std::vector<std::pair<std::string, Errors>> parts; ///< by name of the part
  /// Settings that differ: "theta: 10000.0 in A, 20000.0 in B".
  std::vector<std::string> settings;
  /// It differs, and what it reads agrees.
  bool guilty = false;
};

/// Compares the operations of one kind of layer, or those outside of layers.
/// `layerA` and `layerB`: which layer of the arrays is theirs. In the order of
/// A, those of B alone where B has them. An operation is guilty where its
/// result differs (or is there on one side alone, and what reads it differs)
/// while everything that it reads agrees; values that are not seen are looked
/// through. Split parts count as results of what is split.
std::vector<OperationComparison>
compareOperations(const std::vector<Operation> &a,
                  const std::vector<Operation> &b, const Values &valuesA,
                  const Values &valuesB, int64_t layerA, int64_t layerB,
                  double tolerance);

/// What a guilty operation may be guilty for: operations before it that are not
/// seen, up to those that agree. In order.
std::vector<std::string>
unseenBefore(const std::vector<OperationComparison> &operations, size_t guilty);

/// Where a result differs: "positions 3 of 32", "kv_heads 0, 2 of 4", for each
/// axis on which some places agree entirely; one sentence an axis. A number
/// differs by more than `tolerance` times the largest of its row. `chosen`: the
/// numbers of the experts along the first axis, the same on both sides.
std::vector<std::string> placesOf(const Result &result, const Array &a,
                                  const Array &b, int64_t layerA,
                                  int64_t layerB, double tolerance,
                                  const Array *chosen = nullptr);

} // namespace mbc::compare
