//===- ShardSizes.h - Into how many parts shards can be cut -----*- C++ -*-===//
#pragma once

#include "dialects/NN/NNDialect.h"

namespace mbc::nn {

/// Whether sizes a, b, ... of a mixed-radix shard admit `n` ranks: n = n0 * n1
/// * ... with n0 | a, n1 | b, ...
bool admits(llvm::ArrayRef<int64_t> sizes, int64_t n);

/// The sizes that a shard item of a static type cuts, and how it reads:
/// "kv_heads = 8" or "(kv_heads, slot.q) = (8, 4)".
struct ShardSizes {
  llvm::SmallVector<int64_t> sizes;
  std::string text;
};
ShardSizes shardSizes(TensorType type, ShardAttr shard);

/// Whether what is cut is padded until it divides; `pad` may be null.
bool isPadded(mlir::ArrayAttr pad, ShardAttr shard);

/// Shards over one mesh axis, equal ones once.
class ShardCuts {
public:
  void add(llvm::ArrayRef<int64_t> sizes);
  /// All n <= `limit` that every one admits; {1} where there are none.
  std::vector<int64_t> admissible(int64_t limit) const;

private:
  std::vector<llvm::SmallVector<int64_t>> shards;
  int64_t bound = 0;
};

/// "1, 2, 4, 8".
std::string listText(llvm::ArrayRef<int64_t> values);

} // namespace mbc::nn
