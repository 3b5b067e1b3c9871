//===- Copies.h - Copies that are waited for later --------------*- C++ -*-===//
#pragma once

#include <cstddef>
#include <vector>

namespace mbc::emulator {

/// 16 bytes; zeros where `from` is null.
struct Copy {
  void *to;
  const void *from;
};

/// What the running thread has asked for since its last batch.
std::vector<Copy> &copies();
/// They are a batch from now on.
void commitCopies();
/// Makes all batches of the running thread but the last `later` ones.
void finishCopies(size_t later);

} // namespace mbc::emulator
