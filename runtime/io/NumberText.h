//===- NumberText.h - Stored numbers as people read them --------*- C++ -*-===//
#pragma once

#include "runtime/core/DType.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace mbc {

/// A stored element, exactly.
struct ElementText {
  std::string bits;    ///< "0x3f80", the stored bits
  std::string decimal; ///< "1": the shortest text that reads back the same
};

/// The element at `bytes`. Of a type below a byte: the bytes that it shares
/// with its neighbours, and no decimal value.
ElementText elementText(DType dtype, const std::byte *bytes);

/// "134,515,008".
std::string groupedNumber(uint64_t number);

} // namespace mbc
