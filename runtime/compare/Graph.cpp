//===- Graph.cpp ----------------------------------------------------------===//
#include "runtime/compare/Graph.h"

#include <algorithm>

namespace mbc::compare {

const LayerKind *Stage::kindOf(int64_t layer) const {
  for (const LayerKind &kind : kinds)
    if (std::ranges::binary_search(kind.layers, layer))
      return &kind;
  return nullptr;
}

const Stage *Graph::findStack(const std::string &name) const {
  auto found = std::ranges::find(stages, name, &Stage::stack);
  return found == stages.end() || name.empty() ? nullptr : &*found;
}

std::vector<std::string> tapsOf(const std::vector<Operation> &operations) {
  std::vector<std::string> taps;
  for (const Operation &operation : operations)
    for (const Result &result : operation.results)
      if (result.seen)
        taps.push_back(result.tap);
  return taps;
}

std::vector<std::string> Graph::outerTaps() const {
  std::vector<std::string> taps;
  for (const Stage &stage : stages)
    if (!stage.stack.empty())
      taps.push_back(stage.stack);
    else
      for (const Result &result : stage.operation.results)
        taps.push_back(result.tap);
  return taps;
}

} // namespace mbc::compare
