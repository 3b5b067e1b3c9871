//===- ShardSizes.cpp -----------------------------------------------------===//

#include "dialects/NN/ShardSizes.h"

#include <numeric>

using namespace mlir;
using namespace mbc::nn;

bool mbc::nn::admits(ArrayRef<int64_t> sizes, int64_t n) {
  // The outer axis takes as much as it can: what is left over only grows, by a
  // factor, when it takes less.
  for (int64_t size : sizes)
    n /= std::gcd(n, size);
  return n == 1;
}

ShardSizes mbc::nn::shardSizes(mbc::nn::TensorType type, ShardAttr shard) {
  ShardSizes result;
  std::string names, values;
  for (StringAttr target : shard.getTargets()) {
    auto [axisName, partName] = target.getValue().split('.');
    AxisAttr axis = type.findAxis(axisName);
    if (!partName.empty())
      axis = axis.getPart(partName);
    int64_t size = *axis.getStaticSize();
    result.sizes.push_back(size);
    names += (names.empty() ? "" : ", ") + target.getValue().str();
    values += (values.empty() ? "" : ", ") + std::to_string(size);
  }
  result.text = result.sizes.size() == 1 ? names + " = " + values
                                         : "(" + names + ") = (" + values + ")";
  return result;
}

bool mbc::nn::isPadded(ArrayAttr pad, ShardAttr shard) {
  return pad && llvm::is_contained(pad, shard.getTargets().front());
}

void ShardCuts::add(ArrayRef<int64_t> sizes) {
  int64_t product = std::accumulate(sizes.begin(), sizes.end(), int64_t(1),
                                    std::multiplies<>());
  bound = bound ? std::min(bound, product) : product;
  if (!llvm::is_contained(shards, sizes))
    shards.emplace_back(sizes);
}

std::vector<int64_t> ShardCuts::admissible(int64_t limit) const {
  std::vector<int64_t> sizes;
  for (int64_t n = 1; n <= std::min(limit, std::max<int64_t>(bound, 1)); ++n)
    if (llvm::all_of(shards,
                     [&](ArrayRef<int64_t> cut) { return admits(cut, n); }))
      sizes.push_back(n);
  return sizes;
}

std::string mbc::nn::listText(ArrayRef<int64_t> values) {
  std::string text;
  for (int64_t value : values)
    text += (text.empty() ? "" : ", ") + std::to_string(value);
  return text;
}
