//===- KeptPlans.h - What was found out about a GPU, on disk ----*- C++ -*-===//
#pragma once

#include "runtime/cuda/Device.h"
#include "runtime/program/ProgramCache.h"

#include <optional>
#include <string_view>

namespace mbc::cuda {

/// How one version of a library is best called on one kind of GPU, kept beside
/// programs. Where there is no cache nothing is found and nothing kept.
class KeptPlans {
public:
  /// `library`: its name and version, "cuBLASLt 130100".
  KeptPlans(const Device &device, std::string_view library);

  /// `what`: one line with all that decides the plan.
  std::optional<std::string> find(std::string_view what) const;
  void store(std::string_view what, std::string_view plan) const;

private:
  std::optional<ProgramCache> cache;
  std::string prefix;
};

} // namespace mbc::cuda
