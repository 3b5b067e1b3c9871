//===- NumberText.cpp -----------------------------------------------------===//

#include "runtime/io/NumberText.h"

#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <limits>

namespace mbc {

template <typename T> static T load(const std::byte *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

/// A float of 8 bits with a sign; `bias` as the OCP and the FNUZ variants
/// define it.
static float decodeFloat8(uint8_t bits, unsigned mantissaBits, int bias) {
  unsigned mantissa = bits & ((1u << mantissaBits) - 1);
  int exponent = (bits & 0x7f) >> mantissaBits;
  float magnitude =
      exponent == 0
          ? std::ldexp(static_cast<float>(mantissa),
                       1 - bias - static_cast<int>(mantissaBits))
          : std::ldexp(static_cast<float>(mantissa + (1u << mantissaBits)),
                       exponent - bias - static_cast<int>(mantissaBits));
  return bits & 0x80 ? -magnitude : magnitude;
}

static float float8(DType dtype, uint8_t bits) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  switch (dtype) {
  case DType::F8E4M3:
    return (bits & 0x7f) == 0x7f ? nan : decodeFloat8(bits, 3, 7);
  case DType::F8E5M2:
    if ((bits & 0x7f) > 0x7c)
      return nan;
    if ((bits & 0x7f) == 0x7c)
      return bits & 0x80 ? -infinity : infinity;
    return decodeFloat8(bits, 2, 15);
  case DType::F8E4M3FNUZ:
    return bits == 0x80 ? nan : decodeFloat8(bits, 3, 8);
  case DType::F8E5M2FNUZ:
    return bits == 0x80 ? nan : decodeFloat8(bits, 2, 16);
  default: // F8E8M0: a power of two
    return bits == 0xff ? nan : std::ldexp(1.0f, static_cast<int>(bits) - 127);
  }
}

static std::string decimalText(DType dtype, const std::byte *bytes) {
  switch (dtype) {
  case DType::Bool:
    return load<uint8_t>(bytes) ? "true" : "false";
  case DType::U8:
    return std::to_string(load<uint8_t>(bytes));
  case DType::I8:
    return std::to_string(load<int8_t>(bytes));
  case DType::U16:
    return std::to_string(load<uint16_t>(bytes));
  case DType::I16:
    return std::to_string(load<int16_t>(bytes));
  case DType::U32:
    return std::to_string(load<uint32_t>(bytes));
  case DType::I32:
    return std::to_string(load<int32_t>(bytes));
  case DType::U64:
    return std::to_string(load<uint64_t>(bytes));
  case DType::I64:
    return std::to_string(load<int64_t>(bytes));
  case DType::F8E4M3:
  case DType::F8E5M2:
  case DType::F8E4M3FNUZ:
  case DType::F8E5M2FNUZ:
  case DType::F8E8M0:
    return fmt::format("{}", float8(dtype, load<uint8_t>(bytes)));
  case DType::F16:
  case DType::BF16: {
    float value;
    convertElements(dtype, bytes, DType::F32, &value, 1);
    return fmt::format("{}", value);
  }
  case DType::F32:
    return fmt::format("{}", load<float>(bytes));
  case DType::F64:
    return fmt::format("{}", load<double>(bytes));
  case DType::C64:
    return fmt::format("{} + {}i", load<float>(bytes), load<float>(bytes + 4));
  case DType::F4:
  case DType::F6E2M3:
  case DType::F6E3M2:
    return "packed";
  }
  return "?";
}

ElementText elementText(DType dtype, const std::byte *bytes) {
  unsigned bits = bitsOf(dtype);
  size_t size = bits % 8 == 0 ? bits / 8 : bits == 4 ? 1 : 3;
  std::string text = "0x";
  for (size_t i = size; i-- > 0;)
    text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
  return {std::move(text), decimalText(dtype, bytes)};
}

std::string groupedNumber(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t i = text.size(); i > 3; i -= 3)
    text.insert(i - 3, ",");
  return text;
}

} // namespace mbc
