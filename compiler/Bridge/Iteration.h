//===- Iteration.h - One of the iterations of a checkpoint ------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <filesystem>
#include <optional>

namespace mbc {

/// ROOT/iter_0000100 for 100, of any number of digits; `root` itself for none.
/// An Input error lists the iterations that there are.
Expected<std::filesystem::path>
iterationFolder(const std::filesystem::path &root,
                std::optional<uint64_t> number);

} // namespace mbc
