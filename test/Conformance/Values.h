//===- Values.h - Numbers to compute with -----------------------*- C++ -*-===//
#pragma once

#include "runtime/schema/program_generated.h"

#include <bit>
#include <cstdint>
#include <random>
#include <vector>

namespace mbc::test {

/// The nearest value of the type, ties to even.
inline float roundTo(plan::DType dtype, float value) {
  if (dtype == plan::DType::F16)
    return static_cast<float>(static_cast<_Float16>(value));
  if (dtype == plan::DType::BF16) {
    uint32_t bits = std::bit_cast<uint32_t>(value);
    bits += 0x7fff + (bits >> 16 & 1);
    return std::bit_cast<float>(bits & 0xffff0000u);
  }
  return value;
}

/// Values between -scale and scale that the type has; the same for one seed on
/// every machine.
inline std::vector<float> numbers(size_t count, plan::DType dtype,
                                  uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = roundTo(dtype,
                    scale * (static_cast<float>(random() >> 8) * 0x1p-23f - 1));
  return values;
}

inline std::vector<int32_t> bitsOf(const std::vector<float> &values) {
  std::vector<int32_t> bits;
  for (float value : values)
    bits.push_back(std::bit_cast<int32_t>(value));
  return bits;
}

/// Relative rounding of float32 sums.
constexpr double unit = 0x1p-24;

/// Relative rounding of a type.
inline double unitOf(plan::DType dtype) {
  return dtype == plan::DType::F16    ? 0x1p-11
         : dtype == plan::DType::BF16 ? 0x1p-8
                                      : unit;
}

inline const char *nameOf(plan::DType dtype) {
  return dtype == plan::DType::F16    ? "f16"
         : dtype == plan::DType::BF16 ? "bf16"
                                      : "f32";
}

} // namespace mbc::test
