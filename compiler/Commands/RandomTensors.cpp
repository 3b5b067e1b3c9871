//===- RandomTensors.cpp --------------------------------------------------===//
#include "compiler/Commands/RandomTensors.h"

#include <algorithm>
#include <array>

namespace mbc {

/// SplitMix64's finaliser: every input bit reaches every output bit.
static uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// FNV-1a, the same on every machine.
static uint64_t hashName(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (unsigned char c : name)
    hash = (hash ^ c) * 0x100000001b3ull;
  return hash;
}

static uint64_t bitsAt(uint64_t key, int64_t element) {
  return mix(key + static_cast<uint64_t>(element) * 0x9e3779b97f4a7c15ull);
}

/// Sum of four uniform numbers, scaled to deviation 1: a bell without tails,
/// made without a library whose last bit could differ.
static float bell(uint64_t bits) {
  int sum = 0;
  for (int i = 0; i < 4; ++i)
    sum += static_cast<int>((bits >> (16 * i)) & 0xffff);
  // Four uniforms on [0, 65535]: mean 131070, deviation 65536 / sqrt(3).
  return static_cast<float>(sum - 131070) * (1.7320508f / 65536.0f);
}

void fillRandom(const RandomTensor &tensor, uint64_t seed, float deviation,
                int64_t begin, std::span<std::byte> out) {
  uint64_t key =
      mix(seed ^ hashName(tensor.original.empty() ? tensor.info.name
                                                  : tensor.original));
  DType dtype = tensor.info.dtype;
  auto count = static_cast<int64_t>(out.size() / bytesOf(dtype, 1));
  if (dtype == DType::F8E4M3) {
    for (int64_t i = 0; i < count; ++i) {
      auto byte = static_cast<uint8_t>(bitsAt(key, begin + i) >> 56);
      // The two NaNs become the largest finite values.
      if ((byte & 0x7f) == 0x7f)
        byte ^= 1;
      out[i] = std::byte{byte};
    }
    return;
  }
  std::array<float, 1024> values;
  for (int64_t at = 0; at < count; at += values.size()) {
    auto length = std::min<int64_t>(values.size(), count - at);
    for (int64_t i = 0; i < length; ++i) {
      float x = bell(bitsAt(key, begin + at + i));
      switch (tensor.kind) {
      case RandomKind::Weight:
        values[i] = x * deviation;
        break;
      case RandomKind::Norm:
        values[i] = 1.0f + 0.1f * x;
        break;
      case RandomKind::Scale:
        // E4M3 reaches 448, so that weights get the usual size.
        values[i] = deviation * (1.0f + 0.1f * x) / 256.0f;
        break;
      }
    }
    convertElements(DType::F32, values.data(), dtype,
                    out.data() + bytesOf(dtype, at), length);
  }
}

} // namespace mbc
