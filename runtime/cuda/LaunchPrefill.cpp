//===- LaunchPrefill.cpp - Attention of many rows, by cuDNN ---------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <bit>

namespace mbc::cuda {

/// A function of as many rows at least: fewer are decoded.
constexpr int64_t manyRows = 65;
/// Places for sequences that a plan has at least: those that no sequence takes
/// cost next to nothing.
constexpr int64_t leastSequences = 16;

/// Numbers that a plan is made for, so that one holds for many calls.
static int64_t roomFor(int64_t count, int64_t least) {
  return std::max<int64_t>(least, std::bit_ceil(static_cast<uint64_t>(count)));
}

/// cuDNN moves elements in pieces of 16 bytes.
static bool inPieces(const void *data, int64_t row, int64_t head,
                     int64_t width) {
  constexpr int64_t piece = 8;
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && row % piece == 0 &&
         head % piece == 0 && width % piece == 0;
}

/// From a head to the next of [rows, kv, group, width], where that is one
/// number.
static std::optional<int64_t> headStride(const View &view) {
  if (view.strides[3] != 1)
    return std::nullopt;
  if (view.dims[2] == 1)
    return view.strides[1];
  if (view.dims[1] > 1 && view.strides[1] != view.dims[2] * view.strides[2])
    return std::nullopt;
  return view.strides[2];
}

bool Launcher::prefills(Elem elem) const {
  return function.rows >= manyRows &&
         (elem == Elem::BF16 || elem == Elem::F16) && session.cudnn();
}

std::optional<CudnnShape>
Launcher::prefillShape(const AttentionArguments &arguments) const {
  bool remembered = arguments.places == places();
  if (!prefills(arguments.elem) || arguments.second > 0 ||
      (!remembered && severalParts) || arguments.q.elem != arguments.elem ||
      arguments.out.elem != arguments.elem ||
      (arguments.window > 0 && !arguments.causal))
    return std::nullopt;
  std::optional<int64_t> qHead = headStride(arguments.q),
                         outHead = headStride(arguments.out);
  if (!qHead || !outHead)
    return std::nullopt;
  CudnnShape shape{};
  shape.elem = arguments.elem;
  shape.causal = arguments.causal;
  shape.window = arguments.window;
  shape.sequences =
      roomFor(remembered ? std::ssize(call.sequences) : 1, leastSequences);
  shape.rows = function.rows;
  shape.keys = roomFor(remembered ? session.slots() : function.rows, 128);
  shape.heads = int64_t(arguments.kv) * arguments.group;
  shape.kvHeads = arguments.kv;
  shape.width = arguments.first;
  shape.valueWidth = arguments.width;
  shape.qRow = arguments.q.strides[0];
  shape.kRow = arguments.keySlot;
  shape.vRow = arguments.valueSlot;
  shape.outRow = arguments.out.strides[0];
  shape.qHead = *qHead;
  shape.kHead = arguments.keyHead;
  shape.vHead = arguments.valueHead;
  shape.outHead = *outHead;
  shape.scale = arguments.scale;
  if (!inPieces(arguments.q.data, shape.qRow, shape.qHead, shape.width) ||
      !inPieces(arguments.keys, shape.kRow, shape.kHead, shape.width) ||
      !inPieces(arguments.values, shape.vRow, shape.vHead, shape.valueWidth) ||
      !inPieces(arguments.out.data, shape.outRow, shape.outHead,
                shape.valueWidth) ||
      !session.cudnn()->scratchFor(shape))
    return std::nullopt;
  return shape;
}

Expected<SequenceTables> Launcher::tablesFor(const CudnnShape &shape,
                                             const RowPlace *standing,
                                             int64_t slots) {
  uint64_t numbers = aligned(shape.sequences * sizeof(int32_t));
  uint64_t offsets = aligned((shape.sequences + 1) * sizeof(int64_t));
  SequenceTableKey key{
      standing == places(), shape.sequences, shape.qRow, shape.kRow,
      shape.vRow,           shape.outRow,    slots};
  Memory &memory = session.sequenceTables[key];
  if (memory.size() == 0) {
    MBC_ASSIGN(memory, session.gpu->allocate(3 * numbers + 4 * offsets,
                                             "where sequences begin"));
  }
  std::byte *at = memory.data();
  auto next = [&](uint64_t bytes) { return std::exchange(at, at + bytes); };
  SequenceTables tables{};
  tables.rows = reinterpret_cast<int32_t *>(next(numbers));
  tables.keys = reinterpret_cast<int32_t *>(next(numbers));
  tables.slots = reinterpret_cast<int32_t *>(next(numbers));
  tables.q = reinterpret_cast<int64_t *>(next(offsets));
  tables.k = reinterpret_cast<int64_t *>(next(offsets));
  tables.v = reinterpret_cast<int64_t *>(next(offsets));
  tables.out = reinterpret_cast<int64_t *>(next(offsets));
  // The same for every layer of a call.
  if (!tablesMade.insert(memory.data()).second)
    return tables;
  SequenceArguments arguments{
      standing,   tables,
      shape.qRow, shape.kRow,
      shape.vRow, shape.outRow,
      slots,      static_cast<int32_t>(shape.sequences)};
  MBC_TRY(session.kernels->launch("mbc_sequences", {.x = 1, .threads = 256},
                                  arguments, Count{counts(), 0, 1, 1}));
  return tables;
}

Status Launcher::prefill(const CudnnShape &shape,
                         const AttentionArguments &arguments, std::byte *work) {
  MBC_ASSIGN(SequenceTables tables,
             tablesFor(shape, arguments.places,
                       arguments.places == places() ? session.slots()
                                                    : function.rows));
  return attendWith(shape, tables, arguments.q.data, arguments.keys,
                    arguments.values, arguments.out.data, work);
}

Status Launcher::attendWith(const CudnnShape &shape,
                            const SequenceTables &tables, const void *q,
                            const void *k, const void *v, void *out,
                            std::byte *work) {
  ++session.attendedByCudnn;
  return session.gpu->timed("cuDNN attention", [&] {
    return session.cudnn()->attend(shape,
                                   {q, k, v, out, tables.rows, tables.keys,
                                    tables.q, tables.k, tables.v, tables.out},
                                   work);
  });
}

//===----------------------------------------------------------------------===//
// Latent attention
//===----------------------------------------------------------------------===//

namespace {

/// Room for the keys and values of as many heads at once.
constexpr int64_t mostExpandedBytes = int64_t(512) << 20;

/// How many of the heads at once take at most `most` bytes, `each` of them.
int64_t headsAtOnce(int64_t heads, int64_t each, int64_t most) {
  int64_t some = heads;
  while (some > 1 && some * each > most)
    do
      --some;
    while (heads % some != 0);
  return some;
}

View headsFrom(View view, int64_t head, int64_t heads) {
  view.data = static_cast<std::byte *>(view.data) +
              head * view.strides[1] * elemBytes(view.elem);
  view.dims[1] = heads;
  return view;
}

} // namespace

Expected<bool> Launcher::expandedAttention(const LatentAttentionViews &of,
                                           float scale) {
  int64_t heads = of.qNope.dims[1], nope = of.qNope.dims[2],
          rope = of.qRope.dims[2], latent = of.latentWidth, v = of.out.dims[2];
  int64_t width = nope + rope, both = nope + v;
  auto fits = [&](const View &view, int64_t dim) {
    return view.elem == of.elem && view.strides[2] == 1 &&
           inPieces(view.data, view.strides[0], view.strides[1], dim);
  };
  if (!prefills(of.elem) || !session.products || !fits(of.qNope, nope) ||
      !fits(of.qRope, rope) || !fits(of.out, v) || !fits(of.up, latent) ||
      !inPieces(of.latents, latent, rope, 0) || !inPieces(of.ropes, 0, 0, 0) ||
      of.up.strides[0] != both * of.up.strides[1])
    return false;
  // As many for every call of as many sequences of about this length.
  int64_t keys = std::min(roomFor(longest, 128) * std::ssize(call.sequences),
                          roomFor(session.slots(), 128));
  int64_t bytes = elemBytes(of.elem);
  int64_t some =
      headsAtOnce(heads, keys * (both + width) * bytes, mostExpandedBytes);

  CudnnShape shape{};
  shape.elem = of.elem;
  shape.causal = 1;
  shape.sequences = roomFor(std::ssize(call.sequences), leastSequences);
  shape.rows = function.rows;
  shape.keys = keys;
  shape.heads = shape.kvHeads = some;
  shape.width = width;
  shape.valueWidth = v;
  shape.qRow = heads * width;
  shape.qHead = shape.kHead = width;
  shape.kRow = some * width;
  shape.vRow = some * both;
  shape.vHead = both;
  shape.outRow = of.out.strides[0];
  shape.outHead = of.out.strides[1];
  shape.scale = scale;
  std::optional<uint64_t> needed = session.cudnn()->scratchFor(shape);
  if (!needed)
    return false;

  uint64_t queryBytes = aligned(function.rows * shape.qRow * bytes),
           gatheredBytes = aligned(keys * latent * bytes),
           expandedBytes = aligned(keys * shape.vRow * bytes),
           keyBytes = aligned(keys * shape.kRow * bytes);
  MBC_ASSIGN(std::byte * work,
             session.scratch(queryBytes + gatheredBytes + expandedBytes +
                             keyBytes + *needed));
  std::byte *queries = work, *gathered = queries + queryBytes,
            *expanded = gathered + gatheredBytes,
            *joined = expanded + expandedBytes;
  MBC_ASSIGN(SequenceTables tables, tablesFor(shape, places(), -1));
  LatentKeysArguments arguments{of.latents,
                                of.ropes,
                                gathered,
                                expanded,
                                joined,
                                tables,
                                static_cast<int32_t>(shape.sequences),
                                static_cast<int32_t>(some),
                                static_cast<int32_t>(latent),
                                static_cast<int32_t>(nope),
                                static_cast<int32_t>(v),
                                static_cast<int32_t>(rope)};
  MBC_TRY(session.kernels->launch("mbc_gather_latents",
                                  {.x = keys, .threads = 128}, arguments));
  MBC_TRY(session.kernels->launch(
      "mbc_join_queries", {.x = bound.rows, .threads = 128}, of.qNope, of.qRope,
      static_cast<void *>(queries), Count{counts(), 0, 1, 1}));
  for (int64_t head = 0; head < heads; head += some) {
    ProductArguments product{};
    product.x = gathered;
    product.weight = static_cast<const std::byte *>(of.up.data) +
                     head * of.up.strides[0] * bytes;
    product.out = expanded;
    product.ldx = latent;
    product.ldw = of.up.strides[1];
    product.ldo = shape.vRow;
    product.n = static_cast<int32_t>(some * both);
    product.k = static_cast<int32_t>(latent);
    product.groups = 1;
    product.xElem = product.weightElem = product.outElem = of.elem;
    bool multiplied = false;
    MBC_TRY(session.gpu->timed("cuBLASLt of latents", [&]() -> Status {
      MBC_ASSIGN(multiplied, session.products->multiply(product, keys));
      return {};
    }));
    if (!multiplied && head == 0)
      return false;
    if (!multiplied)
      return systemError("cuBLASLt takes a product of some heads only");
    MBC_TRY(session.kernels->launch("mbc_latent_keys",
                                    {.x = keys, .threads = 128}, arguments));
    View out = headsFrom(of.out, head, some);
    MBC_TRY(attendWith(shape, tables, queries + head * width * bytes, joined,
                       expanded + nope * bytes, out.data, joined + keyBytes));
  }
  return true;
}

} // namespace mbc::cuda
