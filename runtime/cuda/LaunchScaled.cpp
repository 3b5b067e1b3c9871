//===- LaunchScaled.cpp - Products with FP8 weights -----------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::cuda {

/// Values that are made at once: what the second cache level of large devices
/// holds, so that products find them there.
constexpr uint64_t mostValueBytes = 32 << 20;
/// The kernel of few rows reads a matrix once for 32 of them, and making its
/// values costs four times as much.
constexpr int64_t fewRows = 64;

/// Bytes of a row of values, and how many rows are made at once.
static int64_t valueStride(int64_t k) { return (k + 7) / 8 * 8; }
static int64_t valueRows(int64_t n, int64_t k, Elem elem) {
  constexpr int64_t tile = 128;
  auto row = static_cast<uint64_t>(valueStride(k) * elemBytes(elem));
  int64_t fit = static_cast<int64_t>(mostValueBytes / row) / tile * tile;
  return std::min(n, std::max(fit, tile));
}

uint64_t Launcher::valueBytes(const program::ProgramT &program) {
  uint64_t bytes = 0;
  for (const auto &weight : program.weights) {
    // Those of groups are never made.
    if (weight->dtype != plan::DType::F8E4M3 || weight->batch > 1)
      continue;
    Elem widest = Elem::F32;
    bytes = std::max<uint64_t>(
        bytes, valueRows(weight->rows, weight->cols, widest) *
                   valueStride(weight->cols) * elemBytes(widest));
  }
  return bytes;
}

static const char *nameOf(Elem elem) {
  return elem == Elem::F32 ? "f32" : elem == Elem::BF16 ? "bf16" : "f16";
}

Expected<bool> Launcher::multiplyScaledRows(const ProductArguments &product,
                                            int64_t m, Count count) {
  constexpr int64_t pieces = 16, mostThreads = 256, rowColumns = 16;
  bool narrow = product.xElem != Elem::F32;
  if (!narrow ? m > 8 : m > fewRows)
    return false;
  if (m <= 1 || !narrow) {
    int64_t columns = m <= 1 ? 4 : 2,
            threads = (product.k / pieces + 31) / 32 * 32;
    MBC_TRY(session.kernels->launch(
        fmt::format("mbc_scaled_row_{}_{}", nameOf(product.xElem),
                    m <= 1 ? 1 : 8)
            .c_str(),
        {.x = (product.n + columns - 1) / columns,
         .threads = static_cast<unsigned>(
             std::clamp<int64_t>(threads, 64, mostThreads)),
         .overlaps = true},
        product, count));
    return true;
  }
  MBC_TRY(session.kernels->launch(
      fmt::format("mbc_few_{}_f8_{}", nameOf(product.xElem), m <= 8 ? 8 : 32)
          .c_str(),
      {.x = (product.n + rowColumns - 1) / rowColumns,
       .threads = 256,
       .overlaps = true},
      product, count));
  return true;
}

Status Launcher::multiplyValues(const ProductArguments &product, int64_t m,
                                Count count) {
  int64_t stride = valueStride(product.k),
          rows = valueRows(product.n, product.k, product.xElem);
  MBC_ASSIGN(std::byte * work,
             session.scratch(rows * stride * elemBytes(product.xElem)));
  std::string kernel =
      fmt::format("mbc_scaled_values_{}", nameOf(product.xElem));
  for (int64_t first = 0; first < product.n; first += rows) {
    ProductArguments part = product;
    part.n = static_cast<int32_t>(std::min(rows, product.n - first));
    part.weight =
        static_cast<const std::byte *>(product.weight) + first * product.ldw;
    part.out = work;
    part.ldo = stride;
    MBC_TRY(session.kernels->launch(
        kernel.c_str(), {.x = part.n, .threads = 256, .overlaps = true}, part,
        static_cast<int>(first)));
    part.weight = work;
    part.weightElem = product.xElem;
    part.ldw = stride;
    part.fixed = 0;
    part.out = static_cast<std::byte *>(product.out) +
               first * elemBytes(product.outElem);
    part.ldo = product.ldo;
    if (product.bias)
      part.bias = static_cast<const std::byte *>(product.bias) +
                  first * elemBytes(product.biasElem);
    MBC_TRY(multiply(part, m, count));
  }
  return {};
}

} // namespace mbc::cuda
