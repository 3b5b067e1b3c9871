//===- Npy.h - NumPy's array files ------------------------------*- C++ -*-===//
//
// Format:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace mbc {

/// An array of integers, row-major.
struct IntegerArray {
  std::vector<int64_t> shape, values;
};

/// Reads a .npy file of int32 or int64, little-endian, C order, of at most
/// `maxBytes`.
Expected<IntegerArray> readIntegerNpy(const std::filesystem::path &path,
                                      uint64_t maxBytes);

/// An array of numbers, row-major.
struct FloatArray {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// Reads a .npy file of float32, little-endian, C order, of at most `maxBytes`.
Expected<FloatArray> readFloatNpy(const std::filesystem::path &path,
                                  uint64_t maxBytes);

/// The bytes before the data of a float32 array of that shape.
std::string float32NpyHeader(std::span<const int64_t> shape);

} // namespace mbc
