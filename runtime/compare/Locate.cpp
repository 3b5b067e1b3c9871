//===- Locate.cpp ---------------------------------------------------------===//
#include "runtime/compare/Locate.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

namespace mbc::compare {

/// Compares the layer of two arrays, as far as both know it; none where a side
/// has no such value.
static std::optional<Errors> compareTap(const std::string &tap, const Values &a,
                                        const Values &b, int64_t layerA,
                                        int64_t layerB) {
  auto left = a.find(tap), right = b.find(tap);
  if (left == a.end() || right == b.end() || !left->second.hasLayer(layerA) ||
      !right->second.hasLayer(layerB))
    return std::nullopt;
  const Array &partial =
      left->second.covered.empty() ? right->second : left->second;
  return errorsOf(left->second.layer(layerA), right->second.layer(layerB),
                  partial.covered);
}

/// Whichever says more against the value, with the largest of all errors.
static Errors worse(const Errors &x, const Errors &y) {
  if (!x.comparable || !y.comparable)
    return x.comparable ? y : x;
  bool first = x.relative != y.relative ? x.relative > y.relative
                                        : x.differing >= y.differing;
  Errors result = first ? x : y;
  result.maxAbs = std::max(x.maxAbs, y.maxAbs);
  return result;
}

std::vector<Step> compareSteps(const Graph &graph, const Values &a,
                               const Values &b, double tolerance) {
  std::vector<Step> steps;
  auto add = [&](Step step, const std::string &tap, int64_t layer,
                 double allowed) {
    std::optional<Errors> errors = compareTap(tap, a, b, layer, layer);
    step.seen = errors.has_value();
    if (errors) {
      step.errors = *errors;
      step.agrees = errors->within(allowed);
    }
    steps.push_back(std::move(step));
  };
  for (const Stage &stage : graph.stages) {
    if (!stage.stack.empty()) {
      for (int64_t layer = 0; layer < stage.depth; ++layer)
        add({stage.stack,
             layer,
             fmt::format("{} {}", stage.stack, layer),
             "",
             true,
             {},
             true},
            stage.stack, layer, tolerance);
      continue;
    }
    for (const Result &result : stage.operation.results)
      if (result.part.empty())
        add({"", -1, result.tap, stage.operation.name, true, {}, true},
            result.tap, 0, result.integer ? 0 : tolerance);
  }
  return steps;
}

namespace {

/// The operations of both sides in one order.
std::vector<OperationComparison> merge(const std::vector<Operation> &a,
                                       const std::vector<Operation> &b) {
  std::vector<OperationComparison> merged;
  auto onlyB = [&](size_t &at, size_t end) {
    for (; at < end; ++at)
      if (std::ranges::find(a, b[at].name, &Operation::name) == a.end())
        merged.push_back({b[at], OperationState::OnlyB, {}, {}, {}, false});
  };
  size_t next = 0;
  for (const Operation &operation : a) {
    auto found = std::ranges::find(b, operation.name, &Operation::name);
    if (found == b.end()) {
      merged.push_back({operation, OperationState::OnlyA, {}, {}, {}, false});
      continue;
    }
    onlyB(next, std::max<size_t>(next, found - b.begin()));
    merged.push_back({operation, OperationState::Unseen, {}, {}, {}, false});
  }
  onlyB(next, b.size());
  return merged;
}

std::vector<std::string> settingsApart(const Operation &a, const Operation &b) {
  std::vector<std::string> apart;
  auto valueIn = [](const Operation &side, const std::string &key) {
    for (const auto &[name, value] : side.settings)
      if (name == key)
        return value;
    return std::string("nothing");
  };
  std::set<std::string> keys;
  for (const Operation *side : {&a, &b})
    for (const auto &[name, value] : side->settings)
      if (keys.insert(name).second && valueIn(a, name) != valueIn(b, name))
        apart.push_back(fmt::format("{}: {} in A, {} in B", name,
                                    valueIn(a, name), valueIn(b, name)));
  return apart;
}

/// The operation that gives a value, or null: it comes from outside.
template <typename List> auto *makerOf(List &list, const std::string &value) {
  for (auto &item : list)
    for (const Result &result : item.operation.results)
      if (result.tap == value)
        return &item;
  return static_cast<decltype(&*list.begin())>(nullptr);
}

/// Decides who is guilty, once every state is known.
class Judge {
public:
  /// `states`: of every value that is seen, whether it agrees.
  Judge(std::vector<OperationComparison> &all, const std::vector<Operation> &b,
        const std::map<std::string, bool> &states)
      : all(all), b(b), states(states) {}

  void run() {
    for (OperationComparison &one : all)
      if (one.state == OperationState::Differs)
        judge(one);
  }

private:
  void judge(OperationComparison &one) {
    const Operation &right =
        *std::ranges::find(b, one.operation.name, &Operation::name);
    bool excused = false, accused = false;
    auto look = [&](const std::string &value, bool shared) {
      OperationComparison *maker = makerOf(all, value);
      if (!maker)
        return;
      // Read by one side alone: whoever made it is what the sides do not share.
      if (!shared && (maker->state == OperationState::OnlyA ||
                      maker->state == OperationState::OnlyB)) {
        if (!differsBefore(*maker))
          maker->guilty = accused = true;
        else
          excused = true;
      } else if (shared && differs(*maker, value)) {
        excused = true;
      }
    };
    const std::vector<std::string> &left = one.operation.inputs;
    for (const std::string &value : left)
      look(value, std::ranges::count(right.inputs, value) > 0);
    for (const std::string &value : right.inputs)
      if (std::ranges::count(left, value) == 0)
        look(value, false);
    one.guilty = !excused && !accused;
  }

  /// Whether something that it reads differs.
  bool differsBefore(const OperationComparison &one) {
    return std::ranges::any_of(
        one.operation.inputs, [&](const std::string &value) {
          OperationComparison *maker = makerOf(all, value);
          return maker && differs(*maker, value);
        });
  }

  /// Whether this result of it differs; of what is not seen, whether something
  /// before it does.
  bool differs(const OperationComparison &one, const std::string &value) {
    if (auto state = states.find(value); state != states.end())
      return !state->second;
    switch (one.state) {
    case OperationState::Agrees:
      return false;
    case OperationState::Differs:
      return true;
    default:
      return one.guilty || differsBefore(one);
    }
  }

  std::vector<OperationComparison> &all;
  const std::vector<Operation> &b;
  const std::map<std::string, bool> &states;
};

} // namespace

std::vector<OperationComparison>
compareOperations(const std::vector<Operation> &a,
                  const std::vector<Operation> &b, const Values &valuesA,
                  const Values &valuesB, int64_t layerA, int64_t layerB,
                  double tolerance) {
  std::vector<OperationComparison> all = merge(a, b);
  std::map<std::string, bool> states;
  for (OperationComparison &one : all) {
    if (one.state != OperationState::Unseen)
      continue;
    const Operation &right =
        *std::ranges::find(b, one.operation.name, &Operation::name);
    one.settings = settingsApart(one.operation, right);
    bool seen = false, agrees = true;
    for (const Result &result : one.operation.results) {
      std::optional<Errors> errors =
          compareTap(result.tap, valuesA, valuesB, layerA, layerB);
      if (!errors)
        continue;
      one.errors = seen ? worse(one.errors, *errors) : *errors;
      seen = true;
      agrees &= states[result.tap] =
          errors->within(result.integer ? 0 : tolerance);
      if (!result.part.empty())
        one.parts.emplace_back(result.part, *errors);
    }
    if (seen)
      one.state = agrees ? OperationState::Agrees : OperationState::Differs;
  }
  Judge(all, b, states).run();
  return all;
}

std::vector<std::string>
unseenBefore(const std::vector<OperationComparison> &operations,
             size_t guilty) {
  std::set<std::string> names;
  std::vector<const OperationComparison *> open{&operations[guilty]};
  while (!open.empty()) {
    const OperationComparison *one = open.back();
    open.pop_back();
    for (const std::string &value : one->operation.inputs)
      if (auto *maker = makerOf(operations, value);
          maker && maker->state == OperationState::Unseen &&
          names.insert(maker->operation.name).second)
        open.push_back(maker);
  }
  std::vector<std::string> ordered;
  for (const OperationComparison &one : operations)
    if (names.count(one.operation.name))
      ordered.push_back(one.operation.name);
  return ordered;
}

/// "0, 2" and at most eight numbers.
static std::string listOf(const std::set<int64_t> &numbers) {
  std::string text;
  int64_t shown = 0;
  for (int64_t number : numbers) {
    if (shown++ == 8)
      return text + ", ...";
    text += fmt::format("{}{}", text.empty() ? "" : ", ", number);
  }
  return text;
}

/// The experts of the places along the first axis that differ; empty where all
/// that were chosen do.
static std::set<int64_t> expertsOf(const Rows &chosen, const Rows &left,
                                   const std::vector<bool> &differs) {
  std::set<int64_t> all, some;
  int64_t each = left.width / chosen.width;
  for (int64_t row = 0; row < left.rows; ++row)
    for (int64_t column = 0; column < left.width; ++column) {
      auto expert = static_cast<int64_t>(chosen.row(row)[column / each]);
      all.insert(expert);
      if (differs[row * left.width + column])
        some.insert(expert);
    }
  return all == some ? std::set<int64_t>() : some;
}

std::vector<std::string> placesOf(const Result &result, const Array &a,
                                  const Array &b, int64_t layerA,
                                  int64_t layerB, double tolerance,
                                  const Array *chosen) {
  Rows left = a.layer(layerA), right = b.layer(layerB);
  if (left.rows != right.rows || left.width != right.width)
    return {};
  std::set<int64_t> tokens;
  std::vector<std::set<int64_t>> places(result.axes.size());
  std::vector<bool> differs(chosen ? left.rows * left.width : 0);
  for (int64_t row = 0; row < left.rows; ++row) {
    float most = 0;
    for (float value : left.row(row))
      if (std::isfinite(value))
        most = std::max(most, std::abs(value));
    for (int64_t column = 0; column < left.width; ++column) {
      float x = left.row(row)[column], y = right.row(row)[column];
      if (x == y || (std::isnan(x) && std::isnan(y)) ||
          std::abs(x - y) <= tolerance * most ||
          (!b.covered.empty() && !b.covered[column]))
        continue;
      tokens.insert(row);
      if (chosen)
        differs[row * left.width + column] = true;
      int64_t rest = column;
      for (size_t axis = result.axes.size(); axis-- > 0;) {
        places[axis].insert(rest % result.axes[axis].size);
        rest /= result.axes[axis].size;
      }
    }
  }
  std::vector<std::string> sentences;
  auto say = [&](const std::string &what, const std::set<int64_t> &where,
                 int64_t size) {
    if (!where.empty() && static_cast<int64_t>(where.size()) < size)
      sentences.push_back(
          fmt::format("{} {} of {}", what, listOf(where), size));
  };
  say("positions", tokens, left.rows);
  for (size_t axis = 0; axis < result.axes.size(); ++axis) {
    const Axis &of = result.axes[axis];
    if (axis == 0 && chosen) {
      say("experts", expertsOf(chosen->layer(layerA), left, differs),
          result.experts);
      continue;
    }
    if (of.parts.empty()) {
      say(of.name, places[axis], of.size);
      continue;
    }
    std::string parts;
    int64_t begin = 0;
    size_t count = 0;
    for (const auto &[name, size] : of.parts) {
      if (std::ranges::any_of(places[axis], [&](int64_t place) {
            return place >= begin && place < begin + size;
          })) {
        parts += (parts.empty() ? "" : ", ") + name;
        ++count;
      }
      begin += size;
    }
    if (count && count < of.parts.size())
      sentences.push_back(fmt::format("{} {}", of.name, parts));
  }
  return sentences;
}

} // namespace mbc::compare
