//===- DType.cpp - Element types of stored tensors ------------------------===//

#include "runtime/core/DType.h"

#include <bit>
#include <cassert>
#include <cstring>

namespace mbc {

namespace {
struct Row {
  DType dtype;
  uint8_t bits;
  bool isFloat;
  std::string_view safetensors, torch;
};
} // namespace

/// Indexed by the enumerator.
static constexpr Row table[] = {
    {DType::Bool, 8, false, "BOOL", "bool"},
    // torch stores two F4 values in one element, so its shapes differ.
    {DType::F4, 4, true, "F4", ""},
    {DType::F6E2M3, 6, true, "F6_E2M3", ""},
    {DType::F6E3M2, 6, true, "F6_E3M2", ""},
    {DType::U8, 8, false, "U8", "uint8"},
    {DType::I8, 8, false, "I8", "int8"},
    {DType::F8E5M2, 8, true, "F8_E5M2", "float8_e5m2"},
    {DType::F8E4M3, 8, true, "F8_E4M3", "float8_e4m3fn"},
    {DType::F8E8M0, 8, true, "F8_E8M0", "float8_e8m0fnu"},
    {DType::F8E4M3FNUZ, 8, true, "F8_E4M3FNUZ", "float8_e4m3fnuz"},
    {DType::F8E5M2FNUZ, 8, true, "F8_E5M2FNUZ", "float8_e5m2fnuz"},
    {DType::I16, 16, false, "I16", "int16"},
    {DType::U16, 16, false, "U16", "uint16"},
    {DType::F16, 16, true, "F16", "float16"},
    {DType::BF16, 16, true, "BF16", "bfloat16"},
    {DType::I32, 32, false, "I32", "int32"},
    {DType::U32, 32, false, "U32", "uint32"},
    {DType::F32, 32, true, "F32", "float32"},
    {DType::C64, 64, false, "C64", "complex64"},
    {DType::F64, 64, true, "F64", "float64"},
    {DType::I64, 64, false, "I64", "int64"},
    {DType::U64, 64, false, "U64", "uint64"},
};

static constexpr bool tableIsIndexed() {
  for (size_t i = 0; i < std::size(table); ++i)
    if (static_cast<size_t>(table[i].dtype) != i)
      return false;
  return std::size(table) == static_cast<size_t>(DType::U64) + 1;
}
static_assert(tableIsIndexed());

static const Row &row(DType dtype) { return table[static_cast<size_t>(dtype)]; }

unsigned bitsOf(DType dtype) { return row(dtype).bits; }

uint64_t bytesOf(DType dtype, int64_t count) {
  auto elements = static_cast<uint64_t>(count);
  unsigned bits = bitsOf(dtype);
  if (bits % 8 == 0)
    return elements * (bits / 8);
  assert(elements * bits % 8 == 0 && "not a whole number of bytes");
  return elements * bits / 8;
}

std::string_view safetensorsName(DType dtype) { return row(dtype).safetensors; }

std::optional<DType> dtypeFromSafetensors(std::string_view name) {
  for (const Row &r : table)
    if (r.safetensors == name)
      return r.dtype;
  return std::nullopt;
}

std::string_view torchName(DType dtype) { return row(dtype).torch; }

std::optional<DType> dtypeFromTorch(std::string_view name) {
  for (const Row &r : table)
    if (!r.torch.empty() && r.torch == name)
      return r.dtype;
  // torch's aliases, which config.json may use as well.
  if (name == "half")
    return DType::F16;
  if (name == "float")
    return DType::F32;
  if (name == "double")
    return DType::F64;
  return std::nullopt;
}

bool isFloat(DType dtype) { return row(dtype).isFloat; }

static bool isConvertible(DType dtype) {
  return dtype == DType::BF16 || dtype == DType::F16 || dtype == DType::F32 ||
         dtype == DType::F64;
}

std::optional<DType> smallestCommonFloat(DType a, DType b) {
  if (!isConvertible(a) || !isConvertible(b))
    return std::nullopt;
  if (a == b)
    return a;
  if (a == DType::F64 || b == DType::F64)
    return DType::F64;
  // F32 with a 16-bit type, or BF16 with F16, neither of which holds the other.
  return DType::F32;
}

//===----------------------------------------------------------------------===//
// Conversion, on bits: the host's own instructions would quiet NaNs.
//===----------------------------------------------------------------------===//

namespace {
/// An IEEE 754 binary interchange layout: sign, `exp` bits, `man` bits.
template <typename BitsT, unsigned exp, unsigned man> struct Format {
  using Bits = BitsT;
  static constexpr unsigned expBits = exp, manBits = man;
  static constexpr int bias = (1 << (exp - 1)) - 1;
  static constexpr int maxExp = (1 << exp) - 1;
};
using Half = Format<uint16_t, 5, 10>;
using BFloat = Format<uint16_t, 8, 7>;
using Single = Format<uint32_t, 8, 23>;
using Double = Format<uint64_t, 11, 52>;
} // namespace

/// One element, rounded to nearest even.
template <typename From, typename To>
static typename To::Bits convertOne(typename From::Bits source) {
  constexpr unsigned fromMan = From::manBits, toMan = To::manBits;
  uint64_t bits = source;
  uint64_t sign = bits >> (From::expBits + fromMan) << (To::expBits + toMan);
  int exponent = static_cast<int>((bits >> fromMan) & From::maxExp);
  uint64_t mantissa = bits & ((uint64_t(1) << fromMan) - 1);
  constexpr uint64_t infinity = uint64_t(To::maxExp) << toMan;

  if (exponent == From::maxExp) {
    if (mantissa == 0)
      return static_cast<typename To::Bits>(sign | infinity);
    // The upper payload bits carry over; the quiet bit is set only where
    // nothing else would keep it a NaN.
    uint64_t payload = toMan >= fromMan ? mantissa << (toMan - fromMan)
                                        : mantissa >> (fromMan - toMan);
    if (payload == 0)
      payload = uint64_t(1) << (toMan - 1);
    return static_cast<typename To::Bits>(sign | infinity | payload);
  }
  if (exponent == 0 && mantissa == 0)
    return static_cast<typename To::Bits>(sign);

  // value = mantissa * 2^(exponent - bias - fromMan), with the hidden bit.
  if (exponent == 0) {
    int shift = std::countl_zero(mantissa) - (63 - static_cast<int>(fromMan));
    mantissa <<= shift;
    exponent = 1 - shift;
  } else {
    mantissa |= uint64_t(1) << fromMan;
  }
  int target = exponent - From::bias + To::bias;
  int drop = static_cast<int>(fromMan) - static_cast<int>(toMan);
  if (target <= 0)
    drop += 1 - target; // a subnormal of the target
  uint64_t rounded;
  if (drop <= 0) {
    rounded = mantissa << -drop;
  } else if (drop > static_cast<int>(fromMan) + 2) {
    rounded = 0;
  } else {
    uint64_t half = uint64_t(1) << (drop - 1);
    uint64_t rest = mantissa & (2 * half - 1);
    rounded = mantissa >> drop;
    rounded += rest > half || (rest == half && (rounded & 1));
  }
  // The hidden bit adds one to the exponent field, and so does a carry out of
  // the mantissa; of a subnormal, the carry makes the smallest normal number.
  uint64_t field = target > 0 ? uint64_t(target - 1) : 0;
  uint64_t out = (field << toMan) + rounded;
  if (out > infinity)
    out = infinity;
  return static_cast<typename To::Bits>(sign | out);
}

// The two conversions that bulk work uses; they vectorize.
template <> uint32_t convertOne<BFloat, Single>(uint16_t source) {
  return uint32_t(source) << 16;
}
template <> uint16_t convertOne<Single, BFloat>(uint32_t source) {
  uint32_t nearest = (source + 0x7FFF + ((source >> 16) & 1)) >> 16;
  uint32_t nan = source >> 16;
  nan |= (nan & 0x7F) == 0 ? 0x40 : 0;
  bool isNaN = (source & 0x7FFFFFFF) > 0x7F800000;
  return static_cast<uint16_t>(isNaN ? nan : nearest);
}

template <typename From, typename To>
static void convertAll(const void *src, void *dst, int64_t count) {
  // memcpy, because staging buffers need not be aligned.
  auto *in = static_cast<const char *>(src);
  auto *out = static_cast<char *>(dst);
  for (int64_t i = 0; i < count; ++i) {
    typename From::Bits from;
    std::memcpy(&from, in + i * sizeof(from), sizeof(from));
    typename To::Bits to = convertOne<From, To>(from);
    std::memcpy(out + i * sizeof(to), &to, sizeof(to));
  }
}

template <typename From>
static void convertFrom(const void *src, DType to, void *dst, int64_t count) {
  switch (to) {
  case DType::F16:
    return convertAll<From, Half>(src, dst, count);
  case DType::BF16:
    return convertAll<From, BFloat>(src, dst, count);
  case DType::F32:
    return convertAll<From, Single>(src, dst, count);
  case DType::F64:
    return convertAll<From, Double>(src, dst, count);
  default:
    assert(false && "not a convertible type");
  }
}

void convertElements(DType from, const void *src, DType to, void *dst,
                     int64_t count) {
  if (from == to) {
    if (count > 0)
      std::memcpy(dst, src, bytesOf(from, count));
    return;
  }
  switch (from) {
  case DType::F16:
    return convertFrom<Half>(src, to, dst, count);
  case DType::BF16:
    return convertFrom<BFloat>(src, to, dst, count);
  case DType::F32:
    return convertFrom<Single>(src, to, dst, count);
  case DType::F64:
    return convertFrom<Double>(src, to, dst, count);
  default:
    assert(false && "not a convertible type");
  }
}

} // namespace mbc
