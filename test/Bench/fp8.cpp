// Rates of the FP8 kernels on one core, in GB of FP8 a second, for every
// instruction set of the machine. Runs of 128 elements, one scale each, as
// block scales have them; 4 MiB at a time, as a conversion reads them.
//
//   ninja -C build/release fp8_bench && build/release/bin/fp8_bench
#include "runtime/core/Fp8.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <vector>

using namespace mbc;

template <typename Fn> static double secondsOf(Fn &&fn) {
  double best = 1e9;
  for (int repeat = 0; repeat < 15; ++repeat) {
    auto start = std::chrono::steady_clock::now();
    fn();
    best = std::min(best, std::chrono::duration<double>(
                              std::chrono::steady_clock::now() - start)
                              .count());
  }
  return best;
}

int main() {
  constexpr int64_t run = 128, count = 4 << 20;
  std::vector<uint8_t> bytes(count);
  std::vector<uint16_t> bf16(count);
  std::vector<float> f32(count);
  std::mt19937 random(0);
  for (uint8_t &byte : bytes)
    byte = static_cast<uint8_t>(random()); // NaNs and subnormal numbers too
  std::printf("%-9s %12s %12s %12s %12s\n", "", "-> BF16", "-> F32", "BF16 ->",
              "F32 ->");
  for (const char *name : {"portable", "avx2", "avx512"}) {
    if (!setFp8Instructions(name))
      continue;
    auto rate = [&](auto &&kernel) {
      return count / 1e9 / secondsOf([&] {
               for (int64_t i = 0; i < count; i += run)
                 kernel(i, 0x1.2p-13f + static_cast<float>(i) * 1e-12f);
             });
    };
    double a = rate([&](int64_t i, float s) {
      dequantizeFp8(&bytes[i], s, DType::BF16, &bf16[i], run);
    });
    double b = rate([&](int64_t i, float s) {
      dequantizeFp8(&bytes[i], s, DType::F32, &f32[i], run);
    });
    double c = rate([&](int64_t i, float s) {
      quantizeFp8(DType::BF16, &bf16[i], s, &bytes[i], run);
    });
    double d = rate([&](int64_t i, float s) {
      quantizeFp8(DType::F32, &f32[i], s, &bytes[i], run);
    });
    std::printf("%-9s %7.2f GB/s %7.2f GB/s %7.2f GB/s %7.2f GB/s\n", name, a,
                b, c, d);
  }
}
