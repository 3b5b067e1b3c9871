//===- Parameters.h - The parameters of a model as a flat list --*- C++ -*-===//
#pragma once

#include "dialects/NN/NNOps.h"

#include <string>
#include <vector>

namespace mbc::nn {

/// A parameter where blocks and stacks put it. One of a stack stands for its
/// copies in all layers that have it.
struct LogicalParameter {
  std::string path; ///< "embed", "decoder.attn.qkv", "decoder.moe.shared.fc1"
  ParamOp op;
  TensorType type;           ///< dimension parameters substituted
  LayersOp stack;            ///< null at top level
  llvm::StringRef indexName; ///< the stack's index symbol; empty: it has none
  /// The layers that have it: null: every one; else an expression over the
  /// index and configuration names.
  mlir::Attribute predicate;
  std::vector<int64_t> layers; ///< ascending; filled once elaborated
};

/// In the order of the declaration: the model's own, then those of each stack
/// and of the blocks that functions call, in body order.
std::vector<LogicalParameter> collectParameters(ModelOp model);

} // namespace mbc::nn
