//===- Graph.h - What a model computes, operation by operation --*- C++ -*-===//
#pragma once

#include "runtime/compare/Metrics.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mbc::compare {

/// An axis of a value; of a sum axis the sizes of its parts (q, k, v).
struct Axis {
  std::string name;
  int64_t size = 1;
  std::vector<std::pair<std::string, int64_t>> parts;
};

/// A value that an operation gives: all of it, or a part into which the model
/// splits it at once.
struct Result {
  std::string tap;        ///< the name by which it can be seen
  std::string part;       ///< "q", "gate"; empty: the whole value
  std::vector<Axis> axes; ///< all but the tokens
  /// Whether a program can give it: it has rows for each token.
  bool seen = true;
  /// Integers: what is near is not equal.
  bool integer = false;
  /// Of a value that has numbers for each expert that a token has, along the
  /// first axis: the value that says which, and of how many. Else empty.
  std::string chosenBy = {};
  int64_t experts = 0;
};

/// An operation of the declaration, of one kind of layer or outside of layers.
struct Operation {
  std::string name;  ///< "decoder.attn.linear"
  std::string kind;  ///< "linear", "silu"
  std::string place; ///< "/mbc/models/attention.mbc:14:21"
  /// Names of the values that it reads, in order.
  std::vector<std::string> inputs;
  /// Paths of the parameters that it reads: "decoder.attn.qkv".
  std::vector<std::string> weights;
  /// Attributes and their values as text, records by field: scaling.factor.
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<Result> results;
};

/// Layers that compute the same.
struct LayerKind {
  std::vector<int64_t> layers;
  std::vector<Operation> operations; ///< in an order in which they can run
  /// Other names of results: of blocks ("decoder.attn"), by the operation's.
  std::map<std::string, std::string> aliases;
};

/// An operation outside of layers, or a stack of layers.
struct Stage {
  std::string stack; ///< "decoder"; empty: `operation`
  int64_t depth = 0;
  std::vector<LayerKind> kinds;
  Operation operation;

  /// The kind that a layer is of, or null.
  const LayerKind *kindOf(int64_t layer) const;
};

/// A model's forward function, in an order in which it can run.
struct Graph {
  std::vector<Stage> stages;

  const Stage *findStack(const std::string &name) const;
  /// Names of everything outside of layers and of every stack: what is looked
  /// at first.
  std::vector<std::string> outerTaps() const;
};

/// Names of everything that these operations give.
std::vector<std::string> tapsOf(const std::vector<Operation> &operations);

/// A value as it was computed, of one layer or of all.
struct Array {
  int64_t rows = 0, layers = 1, width = 0;
  std::vector<float> data; ///< [rows, layers, width]
  /// Where only some columns are known: 0 for the others.
  std::vector<uint8_t> covered;
  /// Where only some layers are known: 0 for the others.
  std::vector<uint8_t> known;

  bool hasLayer(int64_t index) const {
    return index < layers && (known.empty() || known[index]);
  }

  Rows layer(int64_t index) const {
    return {data.data() + index * width, rows, width, layers * width};
  }
};

/// By the names of taps.
using Values = std::map<std::string, Array>;

} // namespace mbc::compare
