//===- Experts.cpp --------------------------------------------------------===//
#include "runtime/compare/Experts.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace mbc::compare {

/// `array` is `numbers` itself or has some numbers for each of them.
static void sortRows(const Array &numbers, Array &array) {
  int64_t count = numbers.width;
  if (count == 0 || array.width % count != 0 || array.rows != numbers.rows ||
      array.layers != numbers.layers)
    return;
  int64_t each = array.width / count;
  std::vector<int64_t> order(count);
  std::vector<float> sorted(array.width);
  for (int64_t row = 0; row < array.rows; ++row)
    for (int64_t layer = 0; layer < array.layers; ++layer) {
      std::span<const float> of = numbers.layer(layer).row(row);
      std::iota(order.begin(), order.end(), 0);
      std::ranges::sort(order, {}, [&](int64_t i) { return of[i]; });
      float *data =
          array.data.data() + (row * array.layers + layer) * array.width;
      for (int64_t i = 0; i < count; ++i)
        std::copy_n(data + order[i] * each, each, sorted.data() + i * each);
      std::ranges::copy(sorted, data);
    }
}

void sortByExpert(const Graph &graph, Values &values) {
  // By name: kinds of layers have the same.
  std::map<std::string, std::string> chosenBy;
  auto add = [&](const Operation &operation) {
    for (const Result &result : operation.results)
      if (!result.chosenBy.empty())
        chosenBy[result.tap] = result.chosenBy;
  };
  for (const Stage &stage : graph.stages) {
    add(stage.operation);
    for (const LayerKind &kind : stage.kinds)
      std::ranges::for_each(kind.operations, add);
  }
  // The numbers last, which say the order of all others.
  for (bool numbers : {false, true})
    for (const auto &[tap, by] : chosenBy)
      if (auto value = values.find(tap), of = values.find(by);
          value != values.end() && of != values.end() &&
          (value == of) == numbers)
        sortRows(of->second, value->second);
}

} // namespace mbc::compare
