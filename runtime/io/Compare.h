//===- Compare.h - Two sets of tensors, bit for bit -------------*- C++ -*-===//
#pragma once

#include "mbc/VerifyReport.h"
#include "runtime/core/Progress.h"
#include "runtime/io/Exchange.h"
#include "runtime/io/TensorSet.h"

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mbc {

struct CompareOptions {
  unsigned threads = 0; ///< 0: defaultThreads()
  /// Float tensors of different dtypes are compared after conversion to the
  /// smallest float type that holds both exactly.
  bool valuesOnly = false;
  /// Explains an index by the names of the parameter's axes, and exchanges by
  /// layers, heads and experts; may be null.
  const plan::PlanT *plan = nullptr;
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

} // namespace mbc
