//===- LaunchFused.cpp - Products with what is around them ----------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

namespace mbc::cuda {

const Fusion *Launcher::fusionOf(int64_t rows) const {
  if (!fusions || rows > Fusion::mostRows)
    return nullptr;
  return rows <= 1 ? &fusions->ofOneRow : &fusions->ofFewRows;
}

bool Launcher::isFused(const program::RowsT &command) const {
  int64_t rows = bound.rows;
  for (uint32_t number : command.operands)
    if (View operand = view(number); !operand.shared)
      rows = rowsIn(operand);
  const Fusion *fusion = fusionOf(rows);
  return fusion && fusion->contains(command);
}

/// The order in which the row kernel sums a row of `width`: compiler/Codegen
/// (GpuShape) gives the threads of a block, or lanes of a warp, pieces of 16
/// bytes of the narrowest operand; the interpreter single elements.
static void setOrder(NormArguments &norm, const program::GpuEntryT *entry,
                     int64_t narrowest, int64_t width) {
  if (!entry) {
    norm.lanes = 1;
    norm.group = 256;
    return;
  }
  int64_t lanes = 16 / narrowest;
  while (width % lanes != 0)
    lanes /= 2;
  norm.lanes = static_cast<int32_t>(lanes);
  bool wholeBlock = entry->tasks.size() == 1 && entry->tasks[0].rows() == 1 &&
                    entry->tasks[0].parts() == 1 && entry->threads > 32;
  norm.group = static_cast<int32_t>(
      wholeBlock
          ? entry->threads
          : std::min<uint64_t>(32, std::bit_ceil<uint64_t>(width / lanes)));
}

NormArguments Launcher::normOf(const FusedProduct::Norm &norm) const {
  NormArguments made{};
  View weight = view(norm.weight);
  made.weight = weight.data;
  made.weightElem = weight.elem;
  if (norm.bias >= 0) {
    View bias = view(norm.bias);
    made.bias = bias.data;
    made.biasElem = bias.elem;
  }
  made.offset = norm.offset;
  made.epsilon = norm.epsilon;
  made.centred = norm.centred;
  made.x = session.handed.data() + norm.hand * session.handedBytes;
  made.xElem = Elem::F32;
  if (norm.x >= 0) {
    View x = view(norm.x);
    made.x = x.data;
    made.xElem = x.elem;
  }
  int64_t narrowest = sizeof(float);
  for (uint32_t number : norm.rows->operands)
    narrowest = std::min(narrowest, elemBytes(view(number).elem));
  const program::GpuEntryT *entry =
      session.runsGenerated && norm.rows->gpu >= 0
          ? program.gpu_entries[norm.rows->gpu].get()
          : nullptr;
  setOrder(made, entry, narrowest, weight.dims[weight.rank - 1]);
  return made;
}

ElementArguments Launcher::elementsOf(const FusedProduct &fused) const {
  ElementArguments elements = fused.elements;
  auto arrayOf = [&](int32_t number) -> ElementArguments::Array {
    if (number < 0)
      return {session.handed.data() + fused.hand * session.handedBytes, 0,
              Elem::F32};
    View array = view(number);
    return {array.data, array.shared ? 0 : array.strides[0], array.elem};
  };
  std::ranges::transform(fused.loads, elements.loads, arrayOf);
  std::ranges::transform(fused.stores, elements.stores, arrayOf);
  return elements;
}

Status Launcher::multiplyFused(const ProductArguments &product,
                               const FusedProduct &fused, int64_t m,
                               Count count) {
  NormArguments norm{};
  if (fused.norm)
    norm = normOf(*fused.norm);
  ElementArguments elements = elementsOf(fused);
  const char *type = product.weightElem == Elem::F32    ? "f32"
                     : product.weightElem == Elem::BF16 ? "bf16"
                                                        : "f16";
  int64_t columns = 4;
  unsigned threads = 256;
  std::string name = fmt::format("mbc_fused_products_{}{}_1",
                                 fused.norm ? "normed_" : "", type);
  if (m > 1 && product.weightElem == Elem::F32) {
    name = "mbc_fused_products_f32_8";
    columns = 2;
  } else if (m > 1) {
    name = fmt::format("mbc_fused_few_rows_{}", type);
    columns = 8;
    threads = 512;
  }
  int64_t ofSegment = columns / elements.segments;
  ++session.fusedLaunched;
  return session.kernels->launch(
      name.c_str(),
      {.x = (elements.width + ofSegment - 1) / ofSegment,
       .threads = threads,
       .shared =
           fused.norm ? static_cast<unsigned>(product.k * sizeof(float)) : 0,
       .overlaps = true},
      product, norm, elements, count);
}

} // namespace mbc::cuda
