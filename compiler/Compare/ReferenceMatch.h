//===- ReferenceMatch.h - Modules of another program as operations -*- C++
//-*-===//
#pragma once

#include "compiler/Compare/Side.h"
#include "runtime/compare/ReferenceStates.h"

#include <map>

namespace mbc {

/// Reference states as values of a side's operations. A module is matched
/// through the tensors that the mapping names below its path: with those of one
/// operation it is that operation, or the rows of it that its tensor holds
/// (q_proj of attn.qkv); with all those of a block or a layer it is that. What
/// has no tensors, or fits nothing, is left out.
class ReferenceMatch {
public:
  /// Both must outlive the result. An Input error where nothing matches, and
  /// where a state has another width than what it matches.
  static Expected<std::unique_ptr<ReferenceMatch>>
  create(const compare::ReferenceStates &states, const Side &side);

  /// Values of stacks and of operations outside of them.
  Expected<compare::Values> outer() const;
  /// Values of the operations in a layer.
  Expected<compare::Values> layer(const std::string &stack,
                                  int64_t layer) const;
  /// States that match nothing.
  const std::vector<std::string> &unmatched() const { return rest; }
  size_t matched() const { return found.size(); }

private:
  struct Match {
    std::string state, stack, tap;
    int64_t layer;
    bool ofStack;  ///< what the layer leaves, not a value inside of it
    int64_t width; ///< of the whole value
    /// Where the state's columns belong; empty: in order.
    std::vector<int64_t> columns;
  };

  ReferenceMatch(const compare::ReferenceStates &states, const Side &side)
      : states(states), side(side) {}
  Expected<bool> match(const std::string &state, const class PlanPlaces &places,
                       const std::vector<std::string> &tensors);
  Status put(const Match &match, compare::Values &values) const;

  const compare::ReferenceStates &states;
  const Side &side;
  /// Tensors and their parameters' paths, by stack and layer; ascending.
  std::map<std::pair<std::string, int64_t>,
           std::vector<std::pair<std::string, std::string>>>
      tensorsAt;
  std::vector<Match> found;
  std::vector<std::string> rest;
};

} // namespace mbc
