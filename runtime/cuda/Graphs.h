//===- Graphs.h - Calls that come again -------------------------*- C++ -*-===//
#pragma once

#include "runtime/cuda/Device.h"
#include "runtime/schema/program_generated.h"

#include <functional>
#include <map>
#include <set>

namespace mbc::cuda {

/// What of a call decides which commands are launched, and how: `oneLayer` and
/// `chosen` as in Call, `follows` as in Session::start.
struct CallShape {
  const program::FunctionT *function;
  int64_t rows, outputs, sequences;
  /// The most tokens of a sequence, up to the next power of two.
  int64_t longest;
  std::map<std::string, uint32_t, std::less<>> oneLayer;
  std::set<std::string, std::less<>> chosen;
  /// Tokens are drawn, with whatever settings.
  bool draws;
  size_t lane;
  bool follows;

  auto operator<=>(const CallShape &) const = default;
};

/// The launches of calls as graphs: one of a shape that was seen before is
/// captured, and all later ones take a single launch. Those of the longest ago
/// are forgotten.
class Graphs {
public:
  explicit Graphs(const Device &device) : device(device) {}
  ~Graphs() { clear(); }
  Graphs(const Graphs &) = delete;

  /// Does what `enqueue` puts on the device's stream. That says whether the
  /// same is right for every call of the shape: false where it depends on
  /// numbers that the host has looked at.
  Status run(const CallShape &shape,
             const std::function<Expected<bool>()> &enqueue);
  /// Memory that they use has moved.
  void clear();

private:
  struct Entry {
    bool repeats = true;
    CUgraphExec graph = nullptr;
    uint64_t used = 0;
  };
  Expected<CUgraphExec>
  capture(const std::function<Expected<bool>()> &enqueue) const;
  void forgetOldest();

  const Device &device;
  std::map<CallShape, Entry> entries;
  uint64_t calls = 0;
};

} // namespace mbc::cuda
