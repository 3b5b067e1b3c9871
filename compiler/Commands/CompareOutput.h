//===- CompareOutput.h - A comparison as text and JSON ----------*- C++ -*-===//
#pragma once

#include "runtime/core/Json.h"
#include "runtime/io/Compare.h"

#include <string>

namespace mbc {

/// One line a difference, then the summary.
std::string compareText(const CompareReport &report);
/// {"tensors", "equal", "elements", "bytes", "seconds", "differences": [...]}.
Json compareJson(const CompareReport &report);
/// "0.412 s, 1.31 GB/s".
std::string rateText(double seconds, uint64_t bytes);

} // namespace mbc
