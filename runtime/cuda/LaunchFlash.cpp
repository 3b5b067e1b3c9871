//===- LaunchFlash.cpp ----------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <fmt/format.h>
#include <initializer_list>

namespace mbc::cuda {

namespace {

/// One kernel of Flash.cu: the widest keys and values, the queries of a block,
/// and the keys of a tile.
struct Size {
  int64_t keys, values, queries, tile;

  /// Queries, and two tiles of keys and of values, in panels of 64 elements.
  unsigned shared() const {
    auto bytes = [](int64_t width, int64_t rows) {
      return (width + 63) / 64 * rows * 128;
    };
    return static_cast<unsigned>(bytes(keys, queries) + 2 * bytes(keys, tile) +
                                 2 * bytes(values, tile));
  }
};
constexpr Size flashSizes[] = {{64, 64, 128, 64},
                               {96, 96, 128, 64},
                               {128, 128, 128, 64},
                               {192, 128, 128, 32},
                               {256, 256, 64, 32}};

/// Whether a row of `width` elements from any start that the strides lead to
/// can be read in pieces of 16 bytes.
bool inWholePieces(const void *data, int64_t width,
                   std::initializer_list<int64_t> strides) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && width % 8 == 0 &&
         std::ranges::all_of(strides,
                             [](int64_t stride) { return stride % 8 == 0; });
}

} // namespace

Expected<bool> Launcher::flash(const AttentionArguments &arguments) {
  // Fewer rows of a sequence than this leave most of a tile empty; a call of
  // sequences with one row each is the other kernel's.
  constexpr int64_t fewRows = 64, fewRowsOfSequence = 16;
  auto sequences = static_cast<int64_t>(call.sequences.size());
  if (bound.rows <= fewRows || bound.rows < fewRowsOfSequence * sequences)
    return false;
  const View &q = arguments.q, &out = arguments.out;
  const Size *size = std::ranges::find_if(flashSizes, [&](const Size &of) {
    return arguments.first <= of.keys && arguments.width <= of.values;
  });
  if (size == std::end(flashSizes) || arguments.second > 0 ||
      arguments.elem == Elem::F32 || q.elem != arguments.elem ||
      arguments.scale <= 0 || q.strides[3] != 1 || out.strides[3] != 1 ||
      !inWholePieces(q.data, arguments.first,
                     {q.strides[0], q.strides[1], q.strides[2]}) ||
      !inWholePieces(arguments.keys, arguments.first,
                     {arguments.keySlot, arguments.keyHead}) ||
      !inWholePieces(arguments.values, arguments.width,
                     {arguments.valueSlot, arguments.valueHead}))
    return false;
  const char *type = arguments.elem == Elem::BF16 ? "bf16" : "f16";
  MBC_TRY(session.kernels->launch(
      fmt::format("mbc_flash_{}_{}", type, size->keys).c_str(),
      {.x = arguments.kv,
       .y = (bound.rows * arguments.group + size->queries - 1) / size->queries,
       .threads = 128,
       .shared = size->shared()},
      arguments, Count{counts(), 0, 1, 1}));
  return true;
}

} // namespace mbc::cuda
