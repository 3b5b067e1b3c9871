//===- CompareOutput.h - A comparison as text and JSON ----------*- C++ -*-===//
#pragma once

#include "runtime/core/Json.h"
#include "runtime/io/Compare.h"

#include <string>

namespace mbc {

/// One line a difference, then the summary.
std::string compareText(const CompareReport &report);
/// One line an exchange.
std::string exchangesText(std::span<const Exchange> exchanges);
/// [{"text", "tensors": [...]}, ...].
Json exchangesJson(std::span<const Exchange> exchanges);
/// {"tensors", "equal", "elements", "bytes", "seconds", "differences": [...],
/// "exchanges": [...]}.
Json compareJson(const CompareReport &report);
/// "0.412 s, 1.31 GB/s".
std::string rateText(double seconds, uint64_t bytes);

} // namespace mbc
