//===- DType.h - Element types of stored tensors ----------------*- C++ -*-===//
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace mbc {

/// Every dtype of the safetensors format; Megatron uses a subset.
enum class DType : uint8_t {
  Bool,
  F4,
  F6E2M3,
  F6E3M2,
  U8,
  I8,
  F8E5M2,
  F8E4M3,
  F8E8M0,
  F8E4M3FNUZ,
  F8E5M2FNUZ,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  C64,
  F64,
  I64,
  U64
};

/// Bits of one element (4 and 6 for the sub-byte floats).
unsigned bitsOf(DType dtype);
/// Bytes of `count` elements. `count * bits` must be a multiple of 8.
uint64_t bytesOf(DType dtype, int64_t count);

/// "BF16", as safetensors headers spell it.
std::string_view safetensorsName(DType dtype);
std::optional<DType> dtypeFromSafetensors(std::string_view name);
/// "bfloat16", as `torch.<name>` and config.json's torch_dtype spell it; empty
/// where torch has no such type.
std::string_view torchName(DType dtype);
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
