//===- RopeFrequencies.h - Frequencies that follow the length ---*- C++ -*-===//
#pragma once

#include "runtime/program/Call.h"

namespace mbc {

/// The inverse frequencies of a dynamic rope for a sequence of `length`: its
/// base grows beyond the original length.
std::vector<float> dynamicFrequencies(const program::RopeT &rope,
                                      int64_t length);

/// The longest length that a dynamic rope goes by, as transformers has it:
/// grown with the longest sequence, and back once a call is short again.
/// `longest` is that of the call before, 0 in the beginning; `length` the
/// highest position of the call plus one.
int64_t longestLength(const program::RopeT &rope, int64_t longest,
                      int64_t length, std::span<const Sequence> sequences);

} // namespace mbc
