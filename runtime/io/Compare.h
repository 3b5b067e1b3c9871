//===- Compare.h - Two sets of tensors, bit for bit -------------*- C++ -*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/io/CopyPlan.h"
#include "runtime/io/TensorSet.h"

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mbc {

enum class Verdict { Equal, Differs, DTypeDiffers, ShapeDiffers, OnlyA, OnlyB };

/// "differs", "only_in_a": stable words, for --json.
std::string_view verdictName(Verdict verdict);

/// One side of a differing element.
struct ElementValue {
  std::string bits;    ///< "0x3f80"
  std::string decimal; ///< "1": the shortest text that reads back the same
  std::string file;    ///< empty: the element is in no file, and reads as zero
  uint64_t offset = 0; ///< byte offset in `file`
};

/// What was found out about one tensor name.
struct TensorComparison {
  std::string name;
  Verdict verdict = Verdict::Equal;
  /// Of the sides that have it.
  DType dtypeA{}, dtypeB{};
  std::vector<int64_t> shapeA, shapeB;

  /// With Verdict::Differs: how many elements, and the first of them.
  int64_t differing = 0;
  int64_t firstElement = 0;
  std::vector<int64_t> index; ///< row-major index of the first
  /// Its place in the logical parameter, where a plan tells: "decoder.attn.qkv
  /// (l = 3): kv_heads 2, group 1, head_dim 5, hidden 17".
  std::string logical;
  ElementValue a, b;

  /// One line: "NAME: 5 of 36,864 elements differ, first [12, 17] ...".
  std::string text() const;
};

struct CompareOptions {
  unsigned threads = 0; ///< 0: defaultThreads()
  /// Float tensors of different dtypes are compared after conversion to the
  /// smallest float type that holds both exactly.
  bool valuesOnly = false;
  /// Explains an index by the names of the parameter's axes; may be null.
  const plan::PlanT *plan = nullptr;
};

struct CompareReport {
  uint64_t tensors = 0;  ///< names in either set
  uint64_t equal = 0;    ///< of them
  uint64_t elements = 0; ///< that were compared
  uint64_t bytes = 0;    ///< of A that were compared
  double seconds = 0;
  /// What is not equal, in the order of A, then of B.
  std::vector<TensorComparison> differences;

  bool same() const { return differences.empty(); }
};

/// Compares every tensor of both sets. Memory is bounded by 6 MiB a thread and
/// does not depend on sizes. `progress` is advanced by bytes of A; its total is
/// set here.
Expected<CompareReport> compareTensors(const TensorSet &a, const TensorSet &b,
                                       const CompareOptions &options,
                                       Progress &progress);

/// Compares tensors of one set: `pairs` of indices, A then B. Each has the name
/// of its A.
Expected<CompareReport>
compareWithin(const TensorSet &set,
              std::span<const std::pair<size_t, size_t>> pairs,
              const CompareOptions &options, Progress &progress);

/// Where element `element` of the Hugging Face tensor `name` belongs; empty
/// when the plan does not say.
std::string logicalIndex(const plan::PlanT &plan, std::string_view name,
                         int64_t element);

} // namespace mbc
