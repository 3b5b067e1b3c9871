//===- LaunchProducts.cpp -------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

namespace mbc::cuda {

ProductArguments Launcher::productOf(uint32_t xView, uint32_t weightView,
                                     uint32_t outView) const {
  View x = view(xView), weight = view(weightView), out = view(outView);
  int last = weight.rank - 1;
  ProductArguments product{};
  product.x = x.data;
  product.weight = weight.data;
  product.out = out.data;
  product.ldx = x.strides[0];
  product.ldw = weight.strides[last - 1];
  product.ldo = out.strides[0];
  product.n = static_cast<int32_t>(weight.dims[last - 1]);
  product.k = static_cast<int32_t>(weight.dims[last]);
  product.groups = 1;
  product.fixed = weight.shared;
  product.xElem = x.elem;
  product.weightElem = weight.elem;
  product.outElem = out.elem;
  if (weight.elem == Elem::F8) {
    uint32_t index = function.views[weightView]->index;
    product.blocks = session.scales.of(index, instanceOf(index));
  }
  return product;
}

/// Whether every row of both sides can be read in pieces of 16 bytes; of FP8
/// those of a step of tensor cores, 64 elements, have one scale too, whose
/// number is found without a division.
static bool inWholePieces(const ProductArguments &product) {
  auto whole = [&](const void *data, int64_t stride, Elem elem) {
    return reinterpret_cast<uintptr_t>(data) % 16 == 0 &&
           stride * elemBytes(elem) % 16 == 0;
  };
  return (product.weightElem == Elem::F8
              ? product.blocks.columns >= 64 &&
                    std::has_single_bit(
                        static_cast<uint32_t>(product.blocks.columns))
              : product.xElem == product.weightElem) &&
         product.k * elemBytes(product.weightElem) % 16 == 0 &&
         whole(product.x, product.ldx, product.xElem) &&
         whole(product.weight, product.ldw, product.weightElem);
}

/// Empty: there are too many.
static std::string kernelOfFewRows(const ProductArguments &product, int64_t m) {
  if (m > 8)
    return "";
  if (product.weightElem == Elem::F32)
    return m <= 1 ? "mbc_row_products_f32_1" : "mbc_row_products_f32_8";
  const char *type = product.weightElem == Elem::BF16 ? "bf16" : "f16";
  return m <= 1 ? fmt::format("mbc_row_products_{}_1", type)
                : fmt::format("mbc_few_rows_{}", type);
}

Status Launcher::multiply(const ProductArguments &product, int64_t m,
                          Count count) {
  constexpr int64_t tile = 64;
  if (product.weightElem == Elem::F8) {
    bool done = false;
    if (inWholePieces(product)) {
      MBC_ASSIGN(done, multiplyScaledRows(product, m, count));
    }
    return done ? Status() : multiplyValues(product, m, count);
  }
  if (inWholePieces(product))
    if (std::string kernel = kernelOfFewRows(product, m); !kernel.empty()) {
      bool tensorCores = kernel.starts_with("mbc_few");
      int64_t columns = tensorCores ? 8 : m <= 1 ? 4 : 2;
      return session.kernels->launch(kernel.c_str(),
                                     {.x = (product.n + columns - 1) / columns,
                                      .threads = tensorCores ? 512u : 256u,
                                      .overlaps = true},
                                     product, count);
    }
  if (session.products) {
    bool done = false;
    MBC_TRY(session.gpu->timed(
        fmt::format("cuBLASLt {} x {} x {}", m, product.n, product.k),
        [&]() -> Status {
          MBC_ASSIGN(done, session.products->multiply(product, m));
          return {};
        }));
    if (done)
      return {};
  }
  MBC_ASSIGN(bool done, multiplyGroups(product, m, count));
  if (done)
    return {};
  return session.kernels->launch("mbc_product",
                                 {.x = (product.n + tile - 1) / tile,
                                  .y = (m + tile - 1) / tile,
                                  .threads = 256,
                                  .overlaps = true},
                                 product, count);
}

Expected<bool> Launcher::multiplyGroups(const ProductArguments &product,
                                        int64_t m, Count count) {
  if (product.xElem == Elem::F32 || !inWholePieces(product) ||
      product.groupStride * elemBytes(product.weightElem) % 16 != 0)
    return false;
  std::string type = product.xElem == Elem::BF16 ? "bf16" : "f16";
  if (product.weightElem == Elem::F8)
    type += "_f8";
  // Of how many rows a group is, the host knows no more than the mean of those
  // that may have some.
  int64_t used = std::min<int64_t>(product.groups, m);
  constexpr int64_t tileColumns = 128, fewRows = 4, someRows = 32,
                    manyRows = 96, rowColumns = 16;
  int64_t across = (product.n + tileColumns - 1) / tileColumns;
  int64_t processors = session.gpu->facts().processors;
  if (m <= fewRows * used ||
      (m <= someRows * used && across * used < 2 * processors)) {
    MBC_TRY(session.kernels->launch(
        fmt::format("mbc_grouped_{}_rows", type).c_str(),
        {.x = (product.n + rowColumns - 1) / rowColumns,
         .y = used,
         .threads = 128,
         .overlaps = product.weightElem == Elem::F8},
        product, count));
    return true;
  }
  int64_t tileRows = m <= manyRows * used ? 64 : 128;
  std::string name = fmt::format("mbc_grouped_{}_Warpgroup_{}", type, tileRows);
  if (session.gpu->facts().major != 9 || !session.kernels->has(name.c_str())) {
    if (product.weightElem == Elem::F8)
      tileRows = 64;
    name = fmt::format("mbc_grouped_{}_Warps_{}", type, tileRows);
  }
  // Blocks that a processor has room for.
  int64_t blocks = processors * (tileRows == 64 ? 3 : 2);
  // Three stages, of rows of 128 bytes of both sides.
  MBC_TRY(session.kernels->launch(
      name.c_str(),
      {.x = std::min((m / tileRows + used) * across, blocks),
       .threads = static_cast<unsigned>(2 * tileRows),
       .shared = static_cast<unsigned>(3 * (tileRows + tileColumns) * 128)},
      product, count));
  return true;
}

Status Launcher::gemm(const program::GemmT &command) {
  View out = view(command.out);
  ProductArguments product = productOf(command.x, command.weight, command.out);
  if (command.bias >= 0) {
    View bias = view(static_cast<uint32_t>(command.bias));
    product.bias = bias.data;
    product.biasElem = bias.elem;
  }
  int64_t m = rowsIn(out);
  if (const Fusion *fusion = fusionOf(m))
    if (const FusedProduct *fused = fusion->of(command))
      return multiplyFused(product, *fused, m, countOf(out));
  return multiply(product, m, countOf(out));
}

Status Launcher::groupedGemm(const program::GroupedGemmT &command) {
  View out = view(command.out), weight = view(command.weight),
       offsets = view(command.offsets);
  ProductArguments product = productOf(command.x, command.weight, command.out);
  product.offsets = static_cast<const int32_t *>(offsets.data);
  product.groups = static_cast<int32_t>(weight.dims[0]);
  product.groupStride = weight.strides[0];
  MBC_ASSIGN(bool done, multiplyGroups(product, rowsIn(out), countOf(out)));
  if (done)
    return {};
  constexpr int64_t tile = 64;
  // As many tiles as there can be: every group may end with a part of one.
  int64_t tiles =
      rowsIn(out) / tile + std::min<int64_t>(product.groups, rowsIn(out));
  return session.kernels->launch(
      "mbc_product",
      {.x = (product.n + tile - 1) / tile, .y = tiles, .threads = 256}, product,
      countOf(out));
}

} // namespace mbc::cuda
