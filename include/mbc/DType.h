//===- DType.h - Element types of stored tensors ----------------*- C++ -*-===//
#pragma once

#include "mbc/Api.h"

#include <cstdint>
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

/// "BF16", as safetensors headers spell it.
MBC_API std::string_view safetensorsName(DType dtype);
/// "bfloat16", as `torch.<name>` and config.json's torch_dtype spell it; empty
/// where torch has no such type.
MBC_API std::string_view torchName(DType dtype);

} // namespace mbc
