//===- LaunchProducts.cpp
//--------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::cuda {

static ProductArguments productOf(const View &x, const View &weight,
                                  const View &out) {
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
  product.xElem = x.elem;
  product.weightElem = weight.elem;
  product.outElem = out.elem;
  return product;
}

/// Whether every row of both sides can be read in pieces of 16 bytes.
static bool inWholePieces(const ProductArguments &product) {
  auto piece = static_cast<int64_t>(16 / elemBytes(product.weightElem));
  auto whole = [&](const void *data, int64_t stride) {
    return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % piece == 0;
  };
  return product.xElem == product.weightElem && product.k % piece == 0 &&
         whole(product.x, product.ldx) && whole(product.weight, product.ldw);
}

Status Launcher::multiply(const ProductArguments &product, int64_t m,
                          Count count) {
  constexpr int64_t fewRows = 8, warps = 4, tile = 64;
  if (m <= fewRows && inWholePieces(product)) {
    int64_t variant = m <= 1 ? 1 : m <= 2 ? 2 : m <= 4 ? 4 : 8;
    const char *type = product.weightElem == Elem::BF16  ? "bf16"
                       : product.weightElem == Elem::F16 ? "f16"
                                                         : "f32";
    return session.kernels->launch(
        fmt::format("mbc_row_products_{}_{}", type, variant).c_str(),
        {.x = (product.n + warps - 1) / warps, .threads = 32 * warps}, product,
        count);
  }
  if (session.products) {
    MBC_ASSIGN(bool done, session.products->multiply(product, m));
    if (done)
      return {};
  }
  return session.kernels->launch("mbc_product",
                                 {.x = (product.n + tile - 1) / tile,
                                  .y = (m + tile - 1) / tile,
                                  .threads = 256},
                                 product, count);
}

Status Launcher::gemm(const program::GemmT &command) {
  View out = view(command.out);
  ProductArguments product =
      productOf(view(command.x), view(command.weight), out);
  if (command.bias >= 0) {
    View bias = view(static_cast<uint32_t>(command.bias));
    product.bias = bias.data;
    product.biasElem = bias.elem;
  }
  return multiply(product, rowsIn(out), countOf(out));
}

Status Launcher::groupedGemm(const program::GroupedGemmT &command) {
  View out = view(command.out), weight = view(command.weight),
       offsets = view(command.offsets);
  ProductArguments product = productOf(view(command.x), weight, out);
  product.offsets = static_cast<const int32_t *>(offsets.data);
  product.groups = static_cast<int32_t>(weight.dims[0]);
  product.groupStride = weight.strides[0];
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
