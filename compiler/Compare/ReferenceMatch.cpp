//===- ReferenceMatch.cpp -------------------------------------------------===//
#include "compiler/Compare/ReferenceMatch.h"

#include "runtime/core/Text.h"
#include "runtime/io/PlanPlaces.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace mbc {

using compare::Array;
using compare::Operation;
using compare::Result;
using compare::Values;

constexpr std::string_view inputSuffix = ".input";

static int64_t widthOf(const Result &result) {
  int64_t width = 1;
  for (const compare::Axis &axis : result.axes)
    width *= axis.size;
  return width;
}

/// The columns of a product that the rows of a tensor are weights of.
static std::vector<int64_t> columnsOf(const PlanPlaces::Place &place) {
  std::vector<int64_t> columns;
  int64_t inner = 1;
  for (size_t dim = 1; dim < place.copy->hf_shape.size(); ++dim)
    inner *= place.copy->hf_shape[dim];
  for (int64_t row = 0; row < place.copy->hf_shape[0]; ++row) {
    auto element = counterpart(place, row * inner);
    if (!element)
      return {};
    columns.push_back(*element / inner);
  }
  return columns;
}

Expected<std::unique_ptr<ReferenceMatch>>
ReferenceMatch::create(const compare::ReferenceStates &states,
                       const Side &side) {
  std::unique_ptr<ReferenceMatch> match(new ReferenceMatch(states, side));
  PlanPlaces places(side.checkpoint().plan());
  std::vector<std::string> tensors = places.names();
  for (const std::string &name : tensors)
    if (const PlanPlaces::Place *place = places.find(name);
        !place->copy->loops.empty())
      match->tensorsAt[{place->copy->loops[0]->over, place->indices[0]}]
          .emplace_back(name, place->copy->path);
  for (const std::string &name : states.names()) {
    MBC_ASSIGN(bool matches, match->match(name, places, tensors));
    if (!matches)
      match->rest.push_back(name);
  }
  if (match->found.empty())
    return inputError(fmt::format(
        "none of the reference's {} states is a module of {}: the first is {}",
        states.names().size(), side.report().model,
        quote(states.names().front())));
  return match;
}

Expected<bool> ReferenceMatch::match(const std::string &state,
                                     const PlanPlaces &places,
                                     const std::vector<std::string> &tensors) {
  int64_t width = states.widthOf(state);
  auto refuse = [&](const std::string &tap, int64_t expected) {
    return inputError(fmt::format(
        "the reference's state {} has {} numbers a token, expected {} as {} of "
        "{} has",
        quote(state), width, expected, tap, side.report().model));
  };
  const compare::Graph &graph = side.graph();
  if (state == "logits") {
    for (const compare::Stage &stage : graph.stages)
      for (const Result &result : stage.operation.results)
        if (result.tap == "logits" && widthOf(result) != width)
          return refuse("the vocabulary", widthOf(result));
    found.push_back({state, "", "logits", 0, false, width, {}});
    return true;
  }
  bool input = state.ends_with(inputSuffix);
  std::string prefix =
      state.substr(0, state.size() - (input ? inputSuffix.size() : 0)) + ".";
  // What the mapping names below the module.
  std::vector<std::string> below;
  for (auto it = std::ranges::lower_bound(tensors, prefix);
       it != tensors.end() && it->starts_with(prefix); ++it)
    below.push_back(*it);
  if (below.empty())
    return false;
  std::set<std::string> paths;
  const PlanPlaces::Place *first = places.find(below.front());
  auto stackOf = [](const PlanPlaces::Place &place) {
    return place.copy->loops.empty() ? std::string()
                                     : place.copy->loops[0]->over;
  };
  std::string stack = stackOf(*first);
  int64_t layer = stack.empty() ? 0 : first->indices[0];
  for (const std::string &name : below) {
    const PlanPlaces::Place *place = places.find(name);
    if (stackOf(*place) != stack ||
        (!stack.empty() && place->indices[0] != layer))
      return false; // of several layers
    paths.insert(place->copy->path);
  }
  const compare::Stage *stage = graph.findStack(stack);
  const compare::LayerKind *kind = stage ? stage->kindOf(layer) : nullptr;
  if (!stack.empty() && !kind)
    return false;

  // One operation. Of a tied embedding two read the tensor, and the width tells
  // which is meant.
  int64_t otherWidth = -1;
  auto tryOperation = [&](const Operation &operation) {
    if (operation.results.empty() ||
        !std::ranges::all_of(paths, [&](const std::string &path) {
          return std::ranges::count(operation.weights, path) > 0;
        }))
      return false;
    const Result &result = operation.results.front();
    std::vector<int64_t> columns;
    const PlanPlaces::Place *matrix = first;
    for (const std::string &name : below)
      if (places.find(name)->copy->hf_shape.size() == 2)
        matrix = places.find(name);
    if (operation.kind == "linear")
      columns = columnsOf(*matrix);
    int64_t expected = columns.empty() ? widthOf(result)
                                       : static_cast<int64_t>(columns.size());
    if (input) {
      if (operation.inputs.empty())
        return false;
      const std::string &tap = operation.inputs[0];
      // What comes after a stack reads what its last layer leaves.
      if (const compare::Stage *before = graph.findStack(tap))
        found.push_back({state, tap, tap, before->depth - 1, true, width, {}});
      else
        found.push_back({state, stack, tap, layer, false, width, {}});
      return true;
    }
    if (expected != width || std::ranges::any_of(columns, [&](int64_t column) {
          return column >= widthOf(result);
        })) {
      otherWidth = expected;
      return false;
    }
    found.push_back({state, stack, result.tap, layer, false, widthOf(result),
                     static_cast<int64_t>(columns.size()) == widthOf(result) &&
                             std::ranges::is_sorted(columns)
                         ? std::vector<int64_t>()
                         : std::move(columns)});
    return true;
  };
  if (kind) {
    for (const Operation &operation : kind->operations)
      if (tryOperation(operation))
        return true;
  } else {
    for (const compare::Stage &one : graph.stages)
      if (one.stack.empty() && tryOperation(one.operation))
        return true;
  }
  if (otherWidth >= 0)
    return refuse(*paths.begin(), otherWidth);
  if (!kind || input)
    return false;

  // All of a block, or of a layer.
  auto tensorsOf = [&](const std::string &block) {
    std::vector<std::string> names;
    for (const auto &[name, path] : tensorsAt.find({stack, layer})->second)
      if (path.starts_with(block + "."))
        names.push_back(name);
    return names;
  };
  const std::vector<std::string> &here = below;
  // A layer that holds one block and nothing else is a layer.
  auto widthAt = [&](const std::string &tap) {
    for (const Operation &operation : kind->operations)
      for (const Result &result : operation.results)
        if (result.tap == tap)
          return widthOf(result);
    return width;
  };
  if (tensorsOf(stack) == here) {
    if (auto last = kind->aliases.find(stack);
        last != kind->aliases.end() && widthAt(last->second) != width)
      return refuse("a layer", widthAt(last->second));
    found.push_back({state, stack, stack, layer, true, width, {}});
    return true;
  }
  for (const auto &[alias, tap] : kind->aliases)
    if (alias != stack && tensorsOf(alias) == here) {
      found.push_back({state, stack, tap, layer, false, width, {}});
      return true;
    }
  return false;
}

/// Adds a state to the value that it is, or is a part of.
Status ReferenceMatch::put(const Match &match, Values &values) const {
  MBC_ASSIGN(Array read, states.read(match.state));
  if (match.columns.empty()) {
    values.insert_or_assign(match.tap, std::move(read));
    return {};
  }
  Array &to = values[match.tap];
  if (to.data.empty()) {
    to.rows = read.rows;
    to.width = match.width;
    to.data.resize(to.rows * to.width);
    to.covered.resize(to.width);
  }
  for (size_t i = 0; i < match.columns.size(); ++i) {
    to.covered[match.columns[i]] = 1;
    for (int64_t row = 0; row < read.rows; ++row)
      to.data[row * to.width + match.columns[i]] =
          read.data[row * read.width + i];
  }
  return {};
}

Expected<Values> ReferenceMatch::outer() const {
  Values values;
  for (const Match &match : found) {
    if (!match.ofStack) {
      if (match.stack.empty())
        MBC_TRY(put(match, values));
      continue;
    }
    MBC_ASSIGN(Array read, states.read(match.state));
    Array &all = values[match.stack];
    if (all.known.empty()) {
      all.layers = side.graph().findStack(match.stack)->depth;
      all.rows = read.rows;
      all.width = read.width;
      all.data.resize(all.rows * all.layers * all.width);
      all.known.resize(all.layers);
    }
    if (read.width != all.width)
      return inputError(fmt::format(
          "the reference's state {} has {} numbers a token, other layers {}",
          quote(match.state), read.width, all.width));
    all.known[match.layer] = 1;
    for (int64_t row = 0; row < read.rows; ++row)
      std::copy_n(read.data.begin() + row * read.width, read.width,
                  all.data.begin() +
                      (row * all.layers + match.layer) * all.width);
  }
  return values;
}

Expected<Values> ReferenceMatch::layer(const std::string &stack,
                                       int64_t layer) const {
  Values values;
  const compare::LayerKind *kind = side.graph().findStack(stack)->kindOf(layer);
  for (const Match &match : found) {
    if (match.stack != stack || match.layer != layer)
      continue;
    // What the layer leaves is what its last operation gives.
    auto last = kind->aliases.find(match.tap);
    if (match.ofStack && last == kind->aliases.end())
      continue;
    Match here = match;
    if (match.ofStack)
      here.tap = last->second;
    MBC_TRY(put(here, values));
  }
  return values;
}

} // namespace mbc
