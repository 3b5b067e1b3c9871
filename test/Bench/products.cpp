// Rates of the host's matrix products on one core and on all asked for, in
// GFLOP/s: the best of the repeats, for the shapes of a few models.
//
//   ninja -C build/release products_bench && build/release/bin/products_bench
//   products_bench [THREADS [ROWS]]
#include "runtime/host/Gemm.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

using namespace mbc::host;

int main(int argc, char **argv) {
  unsigned threads = argc > 1 ? std::atoi(argv[1]) : 1;
  int64_t rows = argc > 2 ? std::atoi(argv[2]) : 512;
  ThreadPool pool(threads);
  ProductScratch scratch;
  std::printf("%s, %u threads, %ld rows\n", kernels().isa, threads, long(rows));
  for (Elem elem : {Elem::BF16, Elem::F16, Elem::F32})
    for (auto [n, k] : {std::pair<int64_t, int64_t>{960, 576},
                        {3072, 576},
                        {576, 1536},
                        {2048, 2048},
                        {4096, 4096}}) {
      auto random = [elem](int64_t count) {
        std::vector<float> values(count);
        std::mt19937 engine(1);
        for (float &value : values)
          value = static_cast<float>(engine() % 1024) / 512 - 1;
        std::vector<std::byte> bytes(count * sizeOf(elem));
        kernels().fromFloat(elem, values.data(), bytes.data(), count);
        return bytes;
      };
      std::vector<std::byte> x = random(rows * k), w = random(n * k),
                             out(rows * n * sizeOf(elem));
      RowRun run{0, n, w.data()};
      Product product{};
      product.m = rows;
      product.n = n;
      product.k = k;
      product.x = x.data();
      product.ldx = product.ldw = k;
      product.xElem = product.wElem = product.outElem = elem;
      product.w = {&run, 1};
      product.out = out.data();
      product.ldo = n;
      double best = 1e9;
      for (int repeat = 0; repeat < 12; ++repeat) {
        auto start = std::chrono::steady_clock::now();
        multiply(product, pool, scratch);
        best = std::min(best, std::chrono::duration<double>(
                                  std::chrono::steady_clock::now() - start)
                                  .count());
      }
      std::printf("%s %5ld x %5ld: %8.1f GFLOP/s, weights %6.1f GB/s\n",
                  elem == Elem::F32    ? "float32 "
                  : elem == Elem::BF16 ? "bfloat16"
                                       : "float16 ",
                  long(n), long(k), 2e-9 * rows * n * k / best,
                  1e-9 * double(n) * k * sizeOf(elem) / best);
    }
}
