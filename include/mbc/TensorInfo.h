//===- TensorInfo.h - Name, type and shape of a tensor ----------*- C++ -*-===//
#pragma once

#include "mbc/Api.h"
#include "mbc/DType.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mbc {

/// A logical tensor: row-major, shape outermost first.
struct MBC_API TensorInfo {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;

  int64_t elements() const;
  uint64_t bytes() const;
};

} // namespace mbc
