//===- DType.h - Sizes and conversion of element types ----------*- C++ -*-===//
#pragma once

#include "mbc/DType.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace mbc {

/// Bits of one element (4 and 6 for the sub-byte floats).
unsigned bitsOf(DType dtype);
/// Bytes of `count` elements. `count * bits` must be a multiple of 8.
uint64_t bytesOf(DType dtype, int64_t count);

/// The type of a name; none when it is unknown.
std::optional<DType> dtypeFromSafetensors(std::string_view name);
std::optional<DType> dtypeFromTorch(std::string_view name);

/// True for the types that weights may have (floats, not integers or bool).
bool isFloat(DType dtype);

/// The smallest of {BF16, F16, F32, F64} that holds every value of both, for
/// tensors of different dtypes fused into one: BF16 + F16 = F32. None when
/// either is not one of these.
std::optional<DType> smallestCommonFloat(DType a, DType b);

/// Converts `count` elements, round-to-nearest-even, between F16, BF16, F32
/// and F64; NaN payload bits are kept as far as they fit, a NaN stays a NaN.
/// Buffers must not overlap. Same dtype: memcpy.
void convertElements(DType from, const void *src, DType to, void *dst,
                     int64_t count);

} // namespace mbc
