//===- StoredModules.h - Megatron's tensors by layer and module -*- C++ -*-===//
#pragma once

#include "runtime/io/TensorSet.h"

#include <map>
#include <set>
#include <string>

namespace mbc {

/// The tensors of a checkpoint without their layers: stacked and indexed keys
/// look the same.
struct StoredModules {
  struct Module {
    std::string name;           ///< of one of its tensors
    std::vector<int64_t> shape; ///< of one layer's
    int64_t layers = 0;         ///< the largest index, and 1; 0 outside layers
  };
  /// Below "decoder.layers", or below "" outside of layers, by names such as
  /// "self_attention.linear_qkv.weight".
  std::map<std::string, std::map<std::string, Module>> roots;

  /// `layered`: the names of containers of layers, such as "decoder.layers".
  StoredModules(const TensorSet &tensors, const std::set<std::string> &layered);

  /// Null when there is none.
  const Module *find(const std::string &root, const std::string &name) const;
  std::set<std::string> modulesOf(const std::string &root) const;
  /// The number of layers that some module of `root` has; 0 without any.
  int64_t layersOf(const std::string &root) const;
};

} // namespace mbc
